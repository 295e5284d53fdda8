"""The inputs that are kept: one file each, in a folder of the target's name."""

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent / "corpus"
FAILURES: Final = Path(__file__).parents[2] / ".cache" / "fuzz"
"""Where a run writes inputs that broke a promise."""


def files(target: str) -> list[Path]:
    """The inputs of a target, in an order that does not change."""
    return sorted(path for path in (ROOT / target).glob("*") if path.is_file())


def add(target: str, content: bytes, suffix: str, folder: Path | None = None) -> Path:
    """Writes an input to the corpus, or to another folder, under a name that is derived from it."""
    place = (folder or ROOT) / target / f"{sha256(content).hexdigest()[:12]}.{suffix}"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


def everything() -> Iterator[tuple[str, Path]]:
    """Every input with the name of its target."""
    for folder in sorted(ROOT.iterdir()):
        for path in files(folder.name):
            yield folder.name, path
