"""No path that a plan names leads out of the allowed folder."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator_services.tools.files import read
from orchestrator_services.tools.paths import Folder, glob_matches

from orchestrator.sdk import HandlerError, InvalidInput, PermanentError

PARTS = st.sampled_from(
    [
        "..",
        ".",
        "",
        "inner",
        "file.txt",
        "out",
        "up",
        "loop",
        "alias",
        "secret.csv",
        "outside",
        "etc",
        "passwd",
        "~",
        "\0",
        "…",
        "..\\..",
        "%2e%2e",
        "\udc80",
        "a" * 300,
    ]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A tree with links that lead inside, outside and in circles."""
    base = tmp_path_factory.mktemp("base")
    (base / "outside").mkdir()
    (base / "outside" / "secret.csv").write_text("hunter2")
    root = base / "root"
    (root / "inner").mkdir(parents=True)
    (root / "inner" / "file.txt").write_text("inside")
    (root / "file.txt").write_text("inside")
    (root / "out").symlink_to(base / "outside")
    (root / "secret.csv").symlink_to("../outside/secret.csv")
    (root / "inner" / "up").symlink_to("../..")
    (root / "alias").symlink_to("inner/file.txt")
    (root / "loop").symlink_to("loop")
    return Folder(root.resolve(), "THE_SETTING")


@settings(max_examples=300, derandomize=True, deadline=None)
@given(absolute=st.booleans(), parts=st.lists(PARTS, max_size=8))
def test_whatever_the_path_only_files_inside_are_read(
    folder: Folder, absolute: bool, parts: list[str]
) -> None:
    path = ("/" if absolute else "") + "/".join(parts)
    try:
        with folder.open(path, 1000) as file:
            content = file.read()
    except InvalidInput:
        return
    assert content == b"inside"


@settings(max_examples=300, derandomize=True, deadline=None)
@given(path=st.text(max_size=40))
def test_any_text_is_read_inside_or_refused(folder: Folder, path: str) -> None:
    try:
        place = folder.locate(path)
    except InvalidInput:
        return
    assert place.is_relative_to(folder.root)


@pytest.mark.parametrize(
    "path",
    ["../outside/secret.csv", "out/secret.csv", "secret.csv", "inner/up/outside/secret.csv", "/etc/passwd"],
)
def test_ways_out_are_refused_and_say_what_to_do(folder: Folder, path: str) -> None:
    with pytest.raises(InvalidInput, match="outside the allowed folder; give a path relative to THE_SETTING"):
        folder.open(path, 1000)


@pytest.mark.parametrize(
    "path", ["file.txt", "inner/../file.txt", "alias", "inner/up/root/file.txt", "./inner/file.txt"]
)
def test_detours_that_end_inside_are_fine(folder: Folder, path: str) -> None:
    with folder.open(path, 1000) as file:
        assert file.read() == b"inside"


def test_an_absolute_path_inside_is_fine(folder: Folder) -> None:
    assert folder.name(folder.locate(str(folder.root / "inner"))) == "inner"


def test_walking_leaves_out_what_links_lead_out_to(folder: Folder) -> None:
    found = [folder.name(place) for place in folder.walk(".", "**")]

    assert found == ["alias", "file.txt", "inner/file.txt"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing.txt", "does not exist; files.list lists the files"),
        ("inner", "is a folder; name a file"),
        ("file.txt/deeper", "does not exist"),
        ("big.txt", "has 2000 bytes, more than the limit of 1000"),
        ("pipe", "is not a regular file"),
    ],
)
def test_an_unreadable_file_is_refused_with_the_reason(folder: Folder, path: str, reason: str) -> None:
    (folder.root / "big.txt").write_bytes(b"x" * 2000)
    if not (folder.root / "pipe").exists():
        os.mkfifo(folder.root / "pipe")
    try:
        with pytest.raises(InvalidInput, match=reason):
            folder.open(path, 1000)
    finally:
        (folder.root / "big.txt").unlink()
        (folder.root / "pipe").unlink()


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "set ORCHESTRATOR_TOOLS_FILES_ROOT"), ("/does/not/exist", "does not name an existing folder")],
)
def test_without_a_folder_nothing_is_read(
    monkeypatch: pytest.MonkeyPatch, value: str | None, reason: str
) -> None:
    monkeypatch.delenv("ORCHESTRATOR_TOOLS_FILES_ROOT", raising=False)
    if value:
        monkeypatch.setenv("ORCHESTRATOR_TOOLS_FILES_ROOT", value)

    with pytest.raises(PermanentError, match=reason):
        read("anything")


def test_all_wrong_settings_are_reported_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_TOOLS_MAX_FILE_BYTES", "many")
    monkeypatch.setenv("ORCHESTRATOR_TOOLS_HTTP_ALLOW", "https://example.org/")
    monkeypatch.setenv("ORCHESTRATOR_TOOLS_HTTP_ALLOW_PRIVATE", "localhost")

    with pytest.raises(HandlerError) as refusal:
        read("anything")

    for part in ("MAX_FILE_BYTES", "without scheme or path", "must name one host and port"):
        assert part in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("a.log", "*.log", True),
        ("2026/11/a.log", "*.log", True),
        ("2026/11/a.log", "**/*.log", True),
        ("a.log", "**/*.log", True),
        ("2026/11/a.log", "2026/*.log", False),
        ("2026/11/a.log", "2026/*/*.log", True),
        ("2026/11/a.log", "2026/**", True),
        ("2026/11/a.log", "**/11/**", True),
        ("2026", "2026/**", False),
        ("a.log", "**", True),
        ("a.csv", "*.log", False),
        ("a.log", "?.lo[gh]", True),
    ],
)
def test_patterns(name: str, pattern: str, expected: bool) -> None:
    assert glob_matches(name, pattern) is expected


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    assert not glob_matches("/".join(["a"] * 200), "/".join(["**", "a"] * 50 + ["b"]))


def test_a_readable_path_is_a_path(root: Path) -> None:
    (root / "a.txt").write_text("one\n")

    assert read("a.txt").text == "one\n"
