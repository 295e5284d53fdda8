"""Which value store a setting names: one row per backend, found by the scheme of its URLs."""

from pathlib import Path
from typing import Final

from orchestrator.bus.ports import ValueStore
from orchestrator.bus.values import folder, s3
from orchestrator.bus.values.backend import Location

_BACKENDS: Final = (
    folder.BACKEND,
    s3.BACKEND,
)
_FORMS: Final = f"a folder, {', or '.join(backend.form for backend in _BACKENDS)}"


def location_of(url: str) -> Location:
    """The location that a setting names: a path is a folder's. Raises `ValueError` with what is wrong, without
    secrets."""
    scheme, separator, _ = url.partition("://")
    if not url:
        raise ValueError(f"name {_FORMS}")
    if not separator:
        return folder.FolderLocation(Path(url))
    for backend in _BACKENDS:
        if backend.scheme == scheme:
            return backend.locate(url)
    raise ValueError(f"unknown kind of value store: name {_FORMS}")


def value_store(url: str) -> ValueStore:
    """The store that a setting names. Connects to nothing yet.

    Raises `ValueError` for a setting that names none, and `ConfigurationError` if what the store needs is not
    installed.
    """
    return location_of(url).open()
