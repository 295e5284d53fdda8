"""What defines a kind of value store: the scheme of its URLs, and how to read and open one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from orchestrator.bus.ports import ValueStore


class Location(Protocol):
    """Where the values of one store are kept."""

    def open(self) -> ValueStore:
        """The store. Connects to nothing yet.

        Raises `ConfigurationError` if what it needs is not installed.
        """


@dataclass(frozen=True)
class Backend:
    """One kind of value store."""

    scheme: str
    """What its URLs begin with, without `://`."""
    form: str
    """What its URLs look like, for error messages."""
    locate: Callable[[str], Location]
    """The location that a URL of this scheme names. Raises `ValueError` with what is wrong, without secrets."""
