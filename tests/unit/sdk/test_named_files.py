"""Files that definitions name, and files of definitions: what is read of them, and what is not."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.messages.values import read_json
from orchestrator.operations.definition_files import read_definition_files

SECRET = "not for everybody"


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    """A folder of agents, beside a file that is none of its own."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "agents").mkdir()
    return tmp_path / "agents"


def defined(agents: Path, file: str) -> str:
    """What the instructions of an agent with this `file:` are."""
    (agents / "a.yaml").write_text(
        f'agent: desk\nplanner: react\nmodel: a:b\ninstructions: {{file: "{file}"}}\n'
    )
    (profile,) = read_definition_files(agents).profiles
    assert profile.model is not None
    text = read_json(profile.model.instructions)
    assert isinstance(text, str)
    return text


def problem(read: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read()
    (found,) = raised.value.problems
    assert "\n" not in found
    assert SECRET not in found
    return found


@pytest.mark.parametrize(
    "file", ["../secret", "below/../../secret", "absolute", "link", "folder/secret", "chain"]
)
def test_a_file_outside_the_folder_of_its_document_is_not_read(agents: Path, file: str) -> None:
    # given a file that another user of the machine may not read, and links to it
    (agents / "below").mkdir()
    (agents / "link").symlink_to(agents.parent / "secret")
    (agents / "chain").symlink_to("link")
    (agents / "folder").symlink_to(agents.parent)
    named = str(agents.parent / "secret") if file == "absolute" else file

    assert "is outside the folder of the document that names it" in problem(lambda: defined(agents, named))


def test_links_that_end_in_the_folder_are_followed(agents: Path) -> None:
    # given the folder as Kubernetes lays it out, in a folder that is a link itself
    (agents / "..1").mkdir()
    (agents / "..1" / "desk.md").write_text("Be brief.\r\nAnd kind.")
    (agents / "..data").symlink_to("..1")
    (agents / "desk.md").symlink_to("..data/desk.md")
    (agents.parent / "linked").symlink_to("agents")

    assert defined(agents.parent / "linked", "desk.md") == "Be brief.\nAnd kind."


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("pipe", "is no regular file"),
        ("below", "is no regular file"),
        ("large", "has more than 1200000 bytes"),
        ("long", "has 300001 characters; at most 300000"),
        ("binary", "is no UTF-8 text: see its byte 0"),
        ("missing", "cannot be read: No such file"),
        ("n" * 5000, "cannot be read: File name too long"),
        ("loop", "cannot be read: Too many levels"),
        ("null\\0", "cannot be read: its name is no path"),
    ],
)
def test_what_is_no_text_of_bounded_size_is_not_read(agents: Path, file: str, reason: str) -> None:
    # given a pipe that nobody writes to, a file of gigabytes that takes no place, and others
    os.mkfifo(agents / "pipe")
    (agents / "below").mkdir()
    (agents / "binary").write_bytes(b"\xff\xfe")
    (agents / "long").write_text("x" * 300_001)
    (agents / "loop").symlink_to("loop")
    with (agents / "large").open("wb") as large:
        large.truncate(8 << 30)

    assert reason in problem(lambda: defined(agents, file))


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/tty", "/dev/stdin"])
def test_a_device_is_not_read(agents: Path, device: str) -> None:
    (agents / "device").symlink_to(device)
    found = problem(lambda: defined(agents, "device"))

    assert "outside the folder" in found or "no regular file" in found


@pytest.mark.parametrize("kind", ["pipe", "device", "large", "folder"])
def test_a_file_of_definitions_is_a_regular_one_of_bounded_size(agents: Path, kind: str) -> None:
    place = agents / "a.yaml"
    match kind:
        case "pipe":
            os.mkfifo(place)
        case "device":
            place.symlink_to("/dev/zero")
        case "folder":
            place.mkdir()
        case _:
            with place.open("wb") as large:
                large.truncate(8 << 30)

    found = problem(lambda: read_definition_files(agents))

    assert found.startswith(f"{place}: it ")
    assert ("has more than" in found) == (kind == "large")
