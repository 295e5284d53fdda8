"""Reads of a value store as the platform makes them."""

from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.ports import ValueStore

MOST: Final = 10_000_000


def read(store: ValueStore, uri: str, most: int = MOST, seconds: float = 60) -> bytes:
    return store.read(uri, most, Deadline.after(seconds))
