"""Which playbooks a task could match, found without evaluating their expressions.

Most `match` expressions require that a member of the task is a certain text (`task.agent == "billing" && ...`). They
are looked up by that text, so that a thousand playbooks of other agents cost a task nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
class Entry:
    """A definition, and what has become of it."""

    definition: events.PlaybookDefined
    playbook: CompiledPlaybook | None
    """None: the definition is invalid."""
    problem: str = ""
    """Why it is invalid."""
    requires: tuple[Place, str] | None = None


@dataclass(frozen=True)
class Candidates:
    """The playbooks of one moment, compiled. It does not change, so any thread may read it without waiting."""

    entries: Mapping[str, Entry] = field(default_factory=dict)
    by_text: Mapping[Place, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    others: Sequence[str] = ()

    def are_of(self, defined: Defined) -> bool:
        """Whether they are the playbooks of these definitions."""
        entries = self.entries
        return len(entries) == len(defined) and all(
            name in entries
            and entries[name].definition.source == one.source
            and entries[name].definition.version == one.version
            for name, one in defined.items()
        )

    def updated(self, defined: Defined) -> "Candidates":
        """Those of other definitions; what has not changed is not compiled again. A large playbook takes a second."""
        entries = {name: self._entry(name, definition) for name, definition in defined.items()}
        by_text: dict[Place, dict[str, list[str]]] = {}
        others: list[str] = []
        for name, entry in entries.items():
            if entry.playbook is None or entry.playbook.match is None:
                continue
            if entry.requires is None:
                others.append(name)
            else:
                place, text = entry.requires
                by_text.setdefault(place, {}).setdefault(text, []).append(name)
        return Candidates(entries, by_text, others)

    def of(self, task: Mapping[str, Any]) -> list[CompiledPlaybook]:
        """Those that could match a task, in order of their names."""
        names = list(self.others)
        for place, by_text in self.by_text.items():
            found = _at(task, place)
            if isinstance(found, str):
                names += by_text.get(found, ())
        entries = [self.entries[name].playbook for name in sorted(names)]
        return [playbook for playbook in entries if playbook is not None]

    def problems(self) -> list[str]:
        """What is wrong with definitions."""
        return [
            f"{name} is invalid ({entry.problem})"
            for name, entry in sorted(self.entries.items())
            if entry.problem
        ]

    def _entry(self, name: str, definition: events.PlaybookDefined) -> Entry:
        known = self.entries.get(name)
        if known is not None and known.definition.source == definition.source:
            return replace(known, definition=definition)
        try:
            playbook = compiled_playbook(definition.source)
        except ConfigurationError as error:
            # Kept as well, so that a mistake is looked for once.
            return Entry(definition, None, "; ".join(error.problems))
        return Entry(definition, playbook, "", required_text(playbook.match) if playbook.match else None)


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
