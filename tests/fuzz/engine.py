"""The search: mutates what has reached something new, and keeps what reaches more. The same seed finds the same."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from tests.fuzz import corpus
from tests.fuzz.reached import Run, Tracer
from tests.fuzz.target import BrokenPromise, Target

_NEW_IN: Final = 12
"""One of so many inputs is new instead of mutated."""
_MOST_CHANGES: Final = 4
_MOST_FAULTS: Final = 10


@dataclass
class Fault:
    """An input that broke a promise."""

    text: str
    """The end of its traceback."""
    content: bytes


@dataclass
class Findings:
    """What a run came to."""

    inputs: int = 0
    most_steps: int = 0
    kept: dict[int, Any] = field(default_factory=dict)
    """Cases that reached something new, by number of the input."""
    faults: dict[str, Fault] = field(default_factory=dict)
    """By place of the fault."""


class Search:
    """One run over one target. `before` gets each case before it is run: a crash of the process leaves it behind."""

    def __init__(self, target: Target, before: Callable[[bytes], None] = lambda _content: None) -> None:
        self.target = target
        self.tracer = Tracer(target.modules, target.most_steps)
        self.findings = Findings()
        self._before = before
        self._seen: set[int] = set()
        self._pool: list[Any] = []

    def replay(self) -> set[tuple[str, int]]:
        """Runs the corpus. Returns the lines that it reaches."""
        for path in corpus.files(self.target.name):
            case = self.target.load(path.read_bytes())
            self._try(case)
            self._pool.append(case)
        return set(self.tracer.lines)

    def run(self, inputs: int, seed: str) -> Findings:
        """Runs so many inputs, or fewer if there are many faults."""
        random = Random(f"{self.target.name}/{seed}")  # noqa: S311 - reproducible, not secret
        for _ in range(inputs):
            if len(self.findings.faults) >= _MOST_FAULTS:
                break
            case = self._next(random)
            if self._try(case):
                self._pool.append(case)
                self.findings.kept[self.findings.inputs] = case
        return self.findings

    def _next(self, random: Random) -> Any:
        if not self._pool or random.randrange(_NEW_IN) == 0:
            return self.target.make(random)
        # What was found last leads on more often.
        at = random.randrange(len(self._pool))
        if random.random() < 0.3:
            at = max(at, random.randrange(len(self._pool)))
        case = self._pool[at]
        for _ in range(1 + int(random.random() ** 2 * _MOST_CHANGES)):
            case = self.target.change(case, random, self._pool[random.randrange(len(self._pool))])
        return case

    def _try(self, case: Any) -> bool:
        """Runs a case; whether it reached something new."""
        self.findings.inputs += 1
        content = self.target.dump(case)
        self._before(content)
        try:
            run = trace(self.tracer, self.target, case)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - native code raises its own, and whatever is raised is a fault
            self._note(error, content)
            return False
        self.findings.most_steps = max(self.findings.most_steps, run.steps)
        if run.edges <= self._seen:
            return False
        self._seen |= run.edges
        return True

    def _note(self, error: BaseException, content: bytes) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        product = [one for one in frames if "/tests/" not in one.filename] or list(frames)
        if isinstance(error, BrokenPromise):
            # Where it was noticed, and what about: the text may hold parts of the input.
            product = [one for one in frames if one.name != "promise"]
        place = f"{type(error).__name__} at {Path(product[-1].filename).name}:{product[-1].lineno}"
        if place not in self.findings.faults:
            text = "".join(traceback.format_exception(error))[-3_000:]
            self.findings.faults[place] = Fault(text, content)


def trace(tracer: Tracer, target: Target, case: Any) -> Run:
    """Runs one case traced. Raises what it raises."""
    with tracer.tracing() as run:
        target.check(case)
    return run


def smallest(target: Target, cases: list[Any]) -> list[Any]:
    """Few cases that together run all lines that all of them run: short ones first."""
    reached: set[tuple[str, int]] = set()
    kept = []
    for case in sorted(cases, key=lambda one: len(target.dump(one))):
        tracer = Tracer(target.modules, target.most_steps)
        trace(tracer, target, case)
        if not tracer.lines <= reached:
            reached |= tracer.lines
            kept.append(case)
    return kept
