"""What the pages show is there, and is what the files say."""

import re
import runpy
from pathlib import Path

import pytest
from tests.python.train.runs import Silent, tiny

from socialgrid.commands.cli import evaluate
from socialgrid.commands.comparing import (
    ArmsOptions,
    CorrelationOptions,
    CsvOptions,
    GroupsOptions,
    TableOptions,
)
from socialgrid.commands.in_worlds import BarsOptions, WorldsOptions
from socialgrid.commands.play import PlayOptions
from socialgrid.commands.plot import PlotOptions
from socialgrid.commands.schelling import SchellingOptions
from socialgrid.commands.words import join_lists, split_words, take_imports, take_pairs
from socialgrid.config import from_dict, load_preset, parse_train, preset_names
from socialgrid.config.evaluation import EvalOptions, MatrixOptions, RecordOptions
from socialgrid.config.words import parse
from socialgrid.train import create_run

ROOT = Path(__file__).parents[2]
PAGES = (
    "README.md", "CONTRIBUTING.md", "SECURITY.md",
    "bench/README.md", "bench/RESULTS.md", "bench/results/learning.md",
)  # fmt: skip
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("my_*.py"))


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_is_there(page):
    links = re.findall(r"\]\(([^)#:]*)(#[^):]*)?\)", prose(page))
    assert links or page == "SECURITY.md"
    for link, place in links:
        target = (ROOT / page).parent / link if link else ROOT / page
        assert target.exists(), link
        assert not place or place[1:] in places(str(target)), f"{link}{place}"


def prose(page):
    """A page without its programs."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def places(page):
    """What links into a page can name: its headings, as GitHub spells them."""
    headings = re.findall("^#+ (.*)", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


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


OPTIONS = {  # of what a command's first word says; "" otherwise
    "eval": {"": EvalOptions, "matrix": MatrixOptions, "record": RecordOptions},
    "play": {"": PlayOptions},
    "plot": {
        **{"": PlotOptions, "arms": ArmsOptions, "table": TableOptions, "csv": CsvOptions},
        **{"worlds": WorldsOptions, "bars": BarsOptions, "schelling": SchellingOptions},
        **{"correlation": CorrelationOptions, "groups": GroupsOptions},
    },
}


def shown():
    """Every other command of README and of bench/README, once."""
    pages = [(ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "bench/README.md")]
    text = re.sub(" +# .*", "", "\n".join(pages))
    found = re.findall(r"socialgrid-(eval|play|plot) ([^`\n]*)", text)
    return sorted({(command, words.strip()) for command, words in found})


@pytest.mark.parametrize(("command", "line"), shown())
def test_what_the_pages_show_of_other_commands_is_understood(command, line):
    words, _ = take_imports(line.replace("...", "").split())
    first, kinds = words[0], OPTIONS[command]
    _, rest = split_words(words[1:] if first in kinds else words)
    kind = kinds.get(first, kinds[""])
    rest, _ = take_pairs(rest)
    parse(kind, join_lists(rest, ("seeds", "players")), "socialgrid")


def test_every_paper_has_figures():
    assert {"goal-cycle --aux prediction", "cleanup", "room-21"} <= set(figures())
    assert len(TRAINED) > 40


def test_programs_in_readme_run(tmp_path, monkeypatch):
    """As they stand there, but for how long they go on."""
    monkeypatch.chdir(tmp_path)
    config = from_dict({"run": {"total_steps": 128}}, load_preset(tiny(tmp_path)).config)
    create_run(config, tmp_path / "RUN").train(Silent())
    words = "record goal-cycle-mini --players trial-and-error --episodes 2 --out teacher.npz"
    assert evaluate(words.split()) == 0
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    programs = re.findall("```python\n(.*?)```", text, re.DOTALL)
    assert len(programs) == 4
    for number, program in enumerate(programs):
        path = tmp_path / f"program{number}.py"
        path.write_text(program.replace("range(1000)", "range(3)"), encoding="utf-8")
        runpy.run_path(str(path))


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
