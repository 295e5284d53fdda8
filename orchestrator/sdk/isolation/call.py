"""A call of a function in a process of its own."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from orchestrator.sdk.isolation.limits import Limits
from orchestrator.sdk.isolation.target import Target


@dataclass(frozen=True, kw_only=True)
class IsolatedCall:
    """A function to be called in a process of its own. Arguments and result are JSON data."""

    name: str
    """What errors call it."""
    target: Target
    arguments: Mapping[str, Any]
    limits: Limits
    variables: Mapping[str, str]
    """The environment that it sees."""
    preload: Target | None = None
    """Whose module is imported once, before the run; the target's own if left out."""
    read: Callable[[Any], Any] = msgspec.json.decode
    """Makes the result of the JSON text that the function returned, in a thread. Raises `ValueError` where there is
    none to make."""
    progress: Callable[[Any], None] | None = None
    """Takes the reports of the run, in a thread. What it raises ends the run."""
