"""Paths and patterns that models write: what is opened is a file of the allowed folder."""

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

from orchestrator_services.tools.paths import Folder, glob_matches
from orchestrator_services.tools.tables import format_of

from orchestrator.sdk import HandlerError, InvalidInput
from tests.fuzz.target import promise
from tests.fuzz.targets.text import text_target

_SECRET: Final = b"secret"
_GRAMMAR: Final = {
    "start": ("<path>", "<path>/<path>", "<pattern>"),
    "path": (
        "<name>",
        "<name>/<path>",
        "/<path>",
        "./<path>",
        "../<path>",
        "<root>/<path>",
        "<path>/..",
        "//<path>",
    ),
    "name": (
        *(
            "in.csv",
            "sub",
            "deep.log",
            "out",
            "loop",
            "up",
            "inside",
            ".",
            "..",
            "...",
            "é",
            "a" * 255,
            "a" * 256,
            "",
        ),
        *(
            "in.csv/x",
            "fifo",
            "\0",
            "~",
            "C:\\x",
            "in.csv\n",
            "%2e%2e",
            "\udcff",
            "-",
            "*.csv",
            "none.json.gz",
            "ABC.CSV",
        ),
    ),
    "root": ("/etc", "/proc/self/environ", "/dev/null", "/usr", ""),
    "pattern": (
        "*",
        "**",
        "*.csv",
        "**/*.log",
        "sub/**",
        "**/**/**/*",
        "[a-z]*",
        "[!a]*",
        "[",
        "?",
        "*" * 60 + "b",
        "sub/*/x",
    ),
}


@cache
def folder() -> Folder:
    """A folder with files, and with links inside and out of it."""
    above = Path(tempfile.mkdtemp(prefix="fuzz-paths-")).resolve()
    (above / "secret.txt").write_bytes(_SECRET)
    root = above / "root"
    (root / "sub").mkdir(parents=True)
    (root / "in.csv").write_bytes(b"a,b\n1,2\n")
    (root / "sub" / "deep.log").write_bytes(b"x\n")
    (root / "out").symlink_to(above / "secret.txt")
    (root / "up").symlink_to(above)
    (root / "loop").symlink_to(root / "loop")
    (root / "inside").symlink_to(root / "sub")
    os.mkfifo(root / "fifo")
    return Folder(root, "FILES_ROOT")


def check(text: str) -> None:
    allowed = folder()
    try:
        place = allowed.locate(text)
        promise(place.is_relative_to(allowed.root), f"{place} is outside")
        promise(not Path(allowed.name(place)).is_absolute(), "a name is relative")
    except InvalidInput as error:
        str(error).encode()
    for opened in (allowed.file, allowed.open):
        try:
            found = opened(text, 1_000)
        except HandlerError as error:
            promise(str(allowed.root.parent) not in str(error), "a refusal does not name our folders")
            str(error).encode()
            continue
        if not isinstance(found, Path):
            with found:
                promise(_SECRET not in found.read(), "a file outside is read")
    try:
        for one in allowed.walk(".", text):
            promise(one.resolve().is_relative_to(allowed.root), f"{one} is outside")
    except HandlerError as error:
        str(error).encode()
    glob_matches("a/b/c/in.csv", text)
    try:
        format_of(text)
    except InvalidInput:
        return


TARGETS: Final = (
    text_target(
        "paths",
        _GRAMMAR,
        check,
        ("orchestrator_services.tools.paths",),
        longest=600,
        inputs=2_000,
        reaches=0.74,
    ),
)
