"""Which playbooks a task could match, found without evaluating their expressions.

Most `match` expressions require that a member of the task is a certain text (`task.agent == "billing" && ...`). They
are looked up by that text, so that a thousand playbooks of other agents cost a task nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from orchestrator.sdk import ConfigurationError
from orchestrator.sdk.messages import events
from orchestrator_services.expression_cost import Token
from orchestrator_services.expressions import Expression, text_of
from orchestrator_services.planner.compilation import CompiledPlaybook, compiled_playbook

Defined = Mapping[str, events.PlaybookDefined]
Place = tuple[str, ...]
"""Members of the task, from the outside in: `("context", "env")`."""


@dataclass(frozen=True)
class _Entry:
    source: str
    playbook: CompiledPlaybook | None
    problem: str
    requires: tuple[Place, str] | None


@dataclass
class Candidates:
    """The playbooks that are defined, compiled once each. Any thread may call."""

    _entries: dict[str, _Entry] = field(default_factory=dict)
    _by_text: dict[Place, dict[str, list[str]]] = field(default_factory=dict)
    _others: list[str] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def knows(self, defined: Defined) -> bool:
        """Whether every definition is compiled, so that nothing below takes long."""
        with self._lock:
            return self._is_current(defined)

    def compiled(self, name: str, defined: Defined) -> CompiledPlaybook:
        """Raises `ConfigurationError` if its definition is invalid."""
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or entry.source != defined[name].source:
                return compiled_playbook(defined[name].source)
        if entry.playbook is None:
            raise ConfigurationError(entry.problem)
        return entry.playbook

    def of(self, task: Mapping[str, Any], defined: Defined) -> list[CompiledPlaybook]:
        """Those that could match a task, in order of their names."""
        with self._lock:
            self._update(defined)
            names = list(self._others)
            for place, by_text in self._by_text.items():
                found = _at(task, place)
                if isinstance(found, str):
                    names += by_text.get(found, ())
            entries = [self._entries[name].playbook for name in sorted(names)]
        return [playbook for playbook in entries if playbook is not None]

    def problems(self, defined: Defined) -> list[str]:
        """What is wrong with definitions."""
        with self._lock:
            self._update(defined)
            return [
                f"{name} is invalid ({entry.problem})"
                for name, entry in sorted(self._entries.items())
                if entry.problem
            ]

    def _is_current(self, defined: Defined) -> bool:
        entries = self._entries
        return len(entries) == len(defined) and all(
            name in entries and entries[name].source == one.source for name, one in defined.items()
        )

    def _update(self, defined: Defined) -> None:
        if self._is_current(defined):
            return
        known, self._entries = self._entries, {}
        for name, definition in dict(defined).items():
            entry = known.get(name)
            if entry is None or entry.source != definition.source:
                entry = _entry(definition.source)
            self._entries[name] = entry
        self._by_text, self._others = {}, []
        for name, entry in self._entries.items():
            if entry.playbook is None or entry.playbook.match is None:
                continue
            if entry.requires is None:
                self._others.append(name)
            else:
                place, text = entry.requires
                self._by_text.setdefault(place, {}).setdefault(text, []).append(name)


def _entry(source: str) -> _Entry:
    try:
        playbook = compiled_playbook(source)
    except ConfigurationError as error:
        return _Entry(source, None, "; ".join(error.problems), None)
    return _Entry(source, playbook, "", required_text(playbook.match) if playbook.match else None)


def required_text(expression: Expression) -> tuple[Place, str] | None:
    """A member of the task and the text that it must be for the expression to be true; None if none is plain."""
    return next(filter(None, map(_comparison, _conjuncts(expression.tokens))), None)


def _conjuncts(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """The parts of `a && b && c`; nothing if it is of another form."""
    parts: list[list[Token]] = [[]]
    depth = 0
    texts = [text for _, text in tokens]
    for index, token in enumerate(tokens):
        _, text = token
        depth += (text in "([{") - (text in ")]}") if token[0] == "other" else 0
        if depth == 0 and token[0] == "other" and text in "?|":
            return
        if depth == 0 and text == "&" and texts[index - 1 : index] == ["&"]:
            parts[-1].pop()
            parts.append([])
        else:
            parts[-1].append(token)
    yield from parts


def _comparison(part: Sequence[Token]) -> tuple[Place, str] | None:
    """Of `task.a.b == "text"`, also the other way round."""
    if part and part[0][0] in ("string", "raw"):
        part = [*part[3:], *part[1:3], part[0]]
    match part:
        case [("name", "task"), *members, ("other", "="), ("other", "="), ("string" | "raw", literal)]:
            text = text_of(literal)
        case _:
            return None
    names = members[1::2]
    if not names or len(members) != 2 * len(names) or any(one != ("other", ".") for one in members[::2]):
        return None
    if text is None or any(kind != "name" for kind, _ in names):
        return None
    return tuple(name for _, name in names), text


def _at(task: Any, place: Place) -> Any:
    for member in place:
        if not isinstance(task, Mapping):
            return None
        task = task.get(member)
    return task
