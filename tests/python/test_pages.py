"""What the pages show is there, and is what the files say."""

import re
from pathlib import Path

import pytest

from socialgrid.config import load_preset, parse_train, preset_names

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md", "CONTRIBUTING.md", "SECURITY.md",
    "bench/README.md", "bench/RESULTS.md", "bench/results/learning.md",
)  # fmt: skip
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("my_*.py"))


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#:]+)[^):]*\)", prose)
    assert links or page == "SECURITY.md"
    folder = (ROOT / page).parent
    assert [link for link in links if not (folder / link).exists()] == []


def figures():
    """What the tables of the papers' figures train: words of a command line that name a preset."""
    page = (ROOT / "bench" / "README.md").read_text(encoding="utf-8")
    part = page.partition("## The papers' figures")[2].partition("\n## ")[0]
    cells = [row.split("|")[2] for row in part.splitlines() if row.count("|") == 4]
    return sorted({span for cell in cells for span in re.findall("`([^`]+)`", cell)})


def told():
    """What README trains."""
    blocks = re.findall("```bash\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    lines = [line.partition("  #")[0] for block in blocks for line in block.splitlines()]
    found = [re.search("socialgrid-train (.*)", line) for line in lines]
    return [each[1].replace("learner:RUN", "learner") for each in found if each]


TRAINED = [line for line in (*figures(), *told()) if line.split()[0] in preset_names()]


@pytest.mark.parametrize("line", TRAINED)
def test_what_the_pages_train_is_understood(line):
    line = re.sub(r"--(seeds|jobs) \S+", "", line.replace("--peers N", "--peers 3"))
    preset, *words = line.split()
    parse_train(words, load_preset(preset), "socialgrid-train")


def test_every_paper_has_figures():
    assert {"goal-cycle --aux prediction", "cleanup", "room-21"} <= set(figures())
    assert len(TRAINED) > 40


@pytest.mark.parametrize("name", EXAMPLES)
def test_contributing_shows_the_examples_as_they_are(name):
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    source = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    shown = re.search(rf"<!-- examples/{name}\.py -->\n```python\n(.*?)```", page, re.DOTALL)
    assert shown, "an example that nobody sees"
    for part in shown[1].strip("\n").split("\n\n"):
        assert part.strip("\n") in source, part


@pytest.mark.parametrize("name", EXAMPLES)
def test_contributing_and_the_examples_name_the_same_commands(name):
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    source = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    (told,) = re.findall(rf"^ *(socialgrid-train .*--import {name}.*)$", source, re.MULTILINE)
    assert f"\n{told}\n" in page
