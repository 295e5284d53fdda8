"""Which lines of some modules an input runs, in which order, and how many.

Works with `sys.settrace`, as all Python versions do: only frames of those modules are traced line by line.
"""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import thread_time
from types import CodeType, FrameType
from typing import Any, Final

_COMPILED: Final = "<avro "
"""Beginning of the file name of code that is compiled from schemas: it guides as well, and is not told."""
_LINES: Final = 1 << 14
_MOST_S: Final = 10
_LINE_S: Final = 0.001
"""CPU seconds that an input may take, and for each line that it runs: one call of a library may take any time."""

Trace = Callable[[FrameType, str, Any], Any]


class TooManySteps(BaseException):
    """An input took more work than it may. Not an `Exception`: code that contains those must not contain this."""


@dataclass
class Run:
    """What one input ran."""

    edges: set[int] = field(default_factory=set)
    """Pairs of lines that ran one after the other, numbered."""
    steps: int = 0


class Tracer:
    """Traces runs in the thread that calls it."""

    def __init__(self, modules: tuple[str, ...], most_steps: int) -> None:
        self._files = {_file_of(name) for name in modules}
        self._most_steps = most_steps
        self._known: dict[int, Trace | None] = {}
        self._codes: list[CodeType] = []
        """Keeps code alive whose identity is a key."""
        self._last = 0
        self._run = Run()
        self.lines: set[tuple[str, int]] = set()
        """File and number of each line that any run has run."""

    @contextmanager
    def tracing(self) -> Iterator[Run]:
        self._run, self._last = Run(), 0
        before = sys.gettrace()
        sys.settrace(self._enter)
        start = thread_time()
        try:
            yield self._run
        finally:
            sys.settrace(before)
        spent = thread_time() - start
        if spent > _MOST_S + _LINE_S * self._run.steps:
            raise TooManySteps(f"{spent:.0f} seconds of CPU for {self._run.steps} lines")

    def all_lines(self) -> set[tuple[str, int]]:
        """Lines of all functions of the modules."""
        found = set()
        for file in self._files:
            with open(file, encoding="utf-8") as source:  # noqa: PTH123 - the name is as the interpreter has it
                module = compile(source.read(), file, "exec")
            for code in _functions(module):
                # The first line of a function is its definition, which runs with the module.
                found |= {(file, n) for _, _, n in code.co_lines() if n and n != code.co_firstlineno}
        return found

    def _enter(self, frame: FrameType, _event: str, _arg: Any) -> Trace | None:
        key = id(frame.f_code)
        try:
            return self._known[key]
        except KeyError:
            self._codes.append(frame.f_code)
            self._known[key] = found = self._tracer_of(frame.f_code)
            return found

    def _tracer_of(self, code: CodeType) -> Trace | None:
        file = code.co_filename
        is_told = file in self._files
        if not is_told and not file.startswith(_COMPILED):
            return None
        base = len(self._codes) * _LINES
        lines = self.lines if is_told else set()

        def line(frame: FrameType, event: str, _arg: Any) -> Trace:
            if event == "line":
                number = frame.f_lineno
                place = base + number
                run = self._run
                run.edges.add(self._last << 26 ^ place)
                self._last = place
                lines.add((file, number))
                run.steps += 1
                if run.steps > self._most_steps:
                    raise TooManySteps(f"more than {self._most_steps} lines were run")
            return line

        return line


def _file_of(module: str) -> str:
    file = importlib.import_module(module).__file__
    if file is None:
        raise ValueError(f"{module} has no file")
    return file


def _functions(code: CodeType, *, is_function: bool = False) -> Iterator[CodeType]:
    """The code of all functions, not of modules and classes, which runs when they are imported."""
    if is_function:
        yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            # Code of classes has no fast locals, that of functions and lambdas has.
            yield from _functions(inner, is_function=bool(inner.co_flags & 0x02))
