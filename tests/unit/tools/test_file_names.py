"""Names of files that are not UTF-8 text, and times that no calendar has: they harm nobody."""

import json
import os
from pathlib import Path

import pytest
from orchestrator_services.tools import list_files, markdown, query, read, search

from orchestrator.sdk import InvalidInput

BAD = b"caf\xe9.txt"


@pytest.fixture
def files(root: Path) -> Path:
    """Two good files beside files and folders with names in Latin-1, and a link to one of them."""
    (root / "good.txt").write_text("tea\n")
    (root / "sub").mkdir()
    (root / "sub" / "tea.txt").write_text("tea\n")
    for folder in (root, root / "sub", root / os.fsdecode(b"d\xe9")):
        folder.mkdir(exist_ok=True)
        (folder / os.fsdecode(BAD)).write_text("tea\n")
    (root / os.fsdecode(b"d\xe9") / "inside.csv").write_text("a\n1\n")
    (root / "link.csv").symlink_to(root / os.fsdecode(b"d\xe9") / "inside.csv")
    return root


@pytest.mark.usefixtures("files")
class TestNames:
    def test_a_list_has_the_other_files_and_counts_these(self) -> None:
        found = list_files(pattern="*.txt")

        assert [entry.path for entry in found.files] == ["good.txt", "sub/tea.txt"]
        assert (found.unnamed, found.truncated) == (3, False)
        json.loads(found.model_dump_json())

    def test_a_search_finds_the_others_and_names_these(self) -> None:
        found = search(pattern="tea", glob="*.txt")

        assert [match.path for match in found.matches] == ["good.txt", "sub/tea.txt"]
        assert len(found.skipped) == 3
        json.loads(found.model_dump_json())

    def test_they_cannot_be_named(self) -> None:
        with pytest.raises(InvalidInput, match="is not UTF-8 text"):
            read(os.fsdecode(BAD))

    async def test_a_link_to_one_is_refused(self) -> None:
        with pytest.raises(InvalidInput, match="whose name is not UTF-8 text"):
            await query("SELECT * FROM data", file="link.csv")


def test_a_report_is_not_written_under_such_a_name(output: Path) -> None:
    folder = output / os.fsdecode(b"d\xe9")
    folder.mkdir()
    (output / "link").symlink_to(folder)

    for path in (os.fsdecode(b"r\xe9.md"), "link/r.md"):
        with pytest.raises(InvalidInput, match="is not UTF-8 text"):
            markdown(path=path)

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("seconds", [2**36, -(2**31), 2**40, 2**55])
def test_a_file_of_any_time_is_listed(root: Path, seconds: int) -> None:
    place = root / "old.txt"
    place.write_text("x")
    try:
        os.utime(place, (seconds, seconds))
    except OSError:
        pytest.skip("this file system does not hold such a time")

    (entry,) = list_files().files
    assert entry.modified.endswith("Z")
