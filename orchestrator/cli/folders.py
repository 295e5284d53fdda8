"""Folders that commands write to."""

import tempfile
from pathlib import Path

import typer


def make_folder(folder: Path, option: str) -> None:
    """Makes the folder, if it does not exist. `option` is the one that names it.

    Raises `BadParameter`, before anything is started, if it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
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
