"""Tools are found on the PATH in the right version, built once otherwise, or reported with what to do."""

import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tools import go_tools
from tools.go_tools import GoTool, ToolError, found_or_built

TOOL = GoTool("thing", "1.2.3", "example.org/thing/cmd/thing", "thing", ("version",))
GO = """
echo "$@" >> {calls}
case "$1" in
  install) /bin/cp /bin/true "$GOBIN/thing" ;;
  build) while [ "$1" != -o ]; do shift; done; /bin/cp /bin/true "$2" ;;
esac
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of the PATH, empty at first; builds go beside it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(go_tools, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(go_tools, "MODULES", tmp_path / "modules")
    return folder


def write(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_tool_on_the_path_is_used(programs: Path) -> None:
    installed = write(programs, "thing", "echo thing v1.2.3+gabc")
    assert found_or_built(TOOL) == installed


def test_a_tool_of_another_version_is_not_used_but_built(programs: Path, tmp_path: Path) -> None:
    write(programs, "thing", "echo thing v1.2.4")
    write(programs, "go", GO.format(calls=tmp_path / "calls"))
    assert found_or_built(TOOL) == tmp_path / "cache" / "thing-1.2.3" / "thing"


def test_a_tool_is_built_once(programs: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    write(programs, "go", GO.format(calls=calls))
    assert found_or_built(TOOL) == found_or_built(TOOL)
    assert len(calls.read_text().splitlines()) == 1
    assert calls.read_text().endswith("example.org/thing/cmd/thing@v1.2.3\n")


def test_other_module_files_are_another_build(programs: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    write(programs, "go", GO.format(calls=calls))
    module = tmp_path / "modules" / "thing"
    module.mkdir(parents=True)
    module.joinpath("go.mod").write_text("module thing\n")
    module.joinpath("go.sum").write_text("one\n")

    first = found_or_built(TOOL)
    module.joinpath("go.sum").write_text("two\n")

    assert found_or_built(TOOL) != first
    assert [line.split()[0] for line in calls.read_text().splitlines()] == ["build", "build"]


def test_a_program_that_is_told_its_version_is(programs: Path, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    write(programs, "go", GO.format(calls=calls))
    found_or_built(replace(TOOL, version_variable="example.org/thing.version"))
    assert "-X example.org/thing.version=v1.2.3" in calls.read_text()


def test_without_go_it_says_what_to_do(programs: Path) -> None:
    with pytest.raises(ToolError, match=r"install Go 1\.26 or newer, or put thing 1\.2\.3 on the PATH"):
        found_or_built(TOOL)


def test_a_build_that_fails_leaves_nothing_and_says_why(programs: Path, tmp_path: Path) -> None:
    write(programs, "go", "echo no such module >&2; exit 1")
    with pytest.raises(ToolError, match="no such module"):
        found_or_built(TOOL)
    assert not list((tmp_path / "cache").rglob("thing"))
