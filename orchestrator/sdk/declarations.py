"""Mistakes of declarations: each is raised where it stands, or all of a module are collected while it is loaded."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import FrameType

from orchestrator.errors import ConfigurationError


class Refused:
    """In the place of what a wrong declaration would have made. It is no plug-in, and nothing can be done with it."""


@dataclass
class Mistakes:
    """What is wrong with the declarations of a module, in their order."""

    problems: list[str] = field(default_factory=list)
    modules: set[str] = field(default_factory=set)
    """The modules whose import would have been given up: those that were being imported at a mistake."""

    def forget_modules(self) -> None:
        """Takes them from the modules of this process, as Python does where an import fails: whoever imports one again
        hears of its mistakes again."""
        for name in self.modules:
            module = sys.modules.pop(name, None)
            package, _, own = name.rpartition(".")
            if package in sys.modules and vars(sys.modules[package]).get(own) is module:
                delattr(sys.modules[package], own)


_collected: ContextVar[Mistakes | None] = ContextVar("collected", default=None)


def refuse(error: ConfigurationError) -> None:
    """Raises the error of a declaration, or keeps it while mistakes are collected: what the declaration then makes is
    never used.

    An import of one's own has the stack, and a test of such a module has to fail. Whoever loads a module for the
    platform wants to know every mistake at once.
    """
    mistakes = _collected.get()
    if mistakes is None:
        raise error
    mistakes.problems += error.problems
    mistakes.modules |= _being_imported()


@contextmanager
def collecting() -> Iterator[Mistakes]:
    """Mistakes of declarations inside are collected, not raised. Nothing that is declared meanwhile may be used if
    there are any."""
    mistakes, before = Mistakes(), _being_imported()
    token = _collected.set(mistakes)
    try:
        yield mistakes
    finally:
        _collected.reset(token)
        mistakes.modules -= before


def _being_imported() -> set[str]:
    """The modules whose code is on the stack."""
    names: set[str] = set()
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - there is no other way to know
    while frame is not None:
        if frame.f_code.co_name == "<module>":
            names.add(str(frame.f_globals.get("__name__")))
        frame = frame.f_back
    return names
