"""Pages lead to pages and files that exist, and the list of decisions has their titles."""

import re
from pathlib import Path

import pytest

from tests.support.pages import ROOT, inline, named, pages

LINKS = re.compile(r"\]\(([^)\s]+)\)")


@pytest.mark.parametrize("page", pages(), ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in LINKS.findall(page.read_text(encoding="utf-8")):
        place, _, anchor = link.partition("#")
        target = page.parent / place if place else page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def anchors(page: Path) -> set[str]:
    """What headings are called in links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


PYTHON_FILE = re.compile(r"(?:[\w.-]+/)+\w+\.py")
BELOW = (ROOT, ROOT / "orchestrator", ROOT / "services" / "orchestrator_services")


@pytest.mark.parametrize("page", pages(), ids=named)
def test_python_files_that_are_named_exist(page: Path) -> None:
    files = [text for text in inline(page) if PYTHON_FILE.fullmatch(text)]
    places = (page.parent, *BELOW)
    # In a recipe NAME stands for the name of what is added.
    patterns = [name.replace("NAME", "*") for name in files]
    assert not [name for name in patterns if not any(list(place.glob(name)) for place in places)]


@pytest.mark.parametrize("page", pages(), ids=named)
def test_folders_that_are_named_exist(page: Path) -> None:
    tops = ("tests/", "docs/", "orchestrator/", "avro-schemas/", "scripts/", "helm/", "deploy/")
    folders = [text for text in inline(page) if text.startswith(tops) and text.endswith("/")]
    assert not [name for name in folders if not (ROOT / name).is_dir()]


def test_the_list_of_decisions_has_each_with_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = re.findall(
        r"^\| \[(\d{4})\]\((.+?)\) \| (.+) \|$", (folder / "README.md").read_text(), re.MULTILINE
    )
    records = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    titles = [path.read_text().splitlines()[0] for path in records]
    assert [name for _, name, _ in listed] == [path.name for path in records]
    assert [f"# {number} {title}" for number, _, title in listed] == titles
