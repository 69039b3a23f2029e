"""What the pages show is there, and is what the files say."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("my_*.py"))


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_is_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#:]+)[^):]*\)", prose)
    assert links or page == "SECURITY.md"
    assert [link for link in links if not (ROOT / link).exists()] == []


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
