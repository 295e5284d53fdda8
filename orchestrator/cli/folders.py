"""Folders that commands write to."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import typer

_OWNER_ONLY: Final = 0o700
_OWNER_ONLY_FILE: Final = 0o600


def make_folder(folder: Path, option: str, mode: int = 0o777) -> None:
    """Makes the folder, if it does not exist, with this mode. `option` is the one that names it.

    Raises `BadParameter`, before anything is started, if it cannot be written to.
    """
    try:
        folder.mkdir(mode, parents=True, exist_ok=True)
        # Rights alone do not say it: a file system may be full, or read-only.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except FileExistsError:
        raise typer.BadParameter(f"{folder} is a file: name a folder", param_hint=option) from None
    except NotADirectoryError:
        raise typer.BadParameter(f"a part of {folder} is a file: name a folder", param_hint=option) from None
    except OSError as error:
        raise typer.BadParameter(
            f"{folder} cannot be written to: {error.strerror or error}", param_hint=option
        ) from None


def make_private_folder(folder: Path, option: str) -> None:
    """As `make_folder`; a folder that is made is closed to other users of the machine."""
    make_folder(folder, option, _OWNER_ONLY)


def keep_private(folder: Path, folders: Iterable[str], files: Iterable[str]) -> None:
    """Makes these folders and files below a folder, if they do not exist, and closes them to other users. The folder
    itself, which somebody else may have made, keeps its mode."""
    for name in folders:
        (folder / name).mkdir(_OWNER_ONLY, exist_ok=True)
        (folder / name).chmod(_OWNER_ONLY)
    for name in files:
        (folder / name).touch(_OWNER_ONLY_FILE)
        (folder / name).chmod(_OWNER_ONLY_FILE)
