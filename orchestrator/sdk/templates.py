"""Placeholders of playbooks: `${input}` and `{$from: step, at: /pointer}`.

The planner fills in `${name}`. A text that is nothing else becomes the input, with its JSON type; inside a longer
text it becomes text, or JSON if the input is not text. `$${` stands for `${`. `{$from: step, at: /pointer}` is
filled in when the step that uses it runs; `at` is a JSON pointer (RFC 6901).
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from orchestrator.errors import ContractError
from orchestrator.messages.filling import Room
from orchestrator.messages.texts import named, short
from orchestrator.sdk.errors import InvalidInput
from orchestrator.sdk.planning import Output
from orchestrator.sdk.yaml_documents import Path

FROM: Final = "$from"
_PLACEHOLDER: Final = re.compile(r"\$\$\{|\$\{([^{}]*)\}")


def rendered(content: Any, inputs: Mapping[str, Any], room: Room | None = None) -> Any:
    """The content with inputs filled in, and an `Output` for each `$from`. Inputs are not rendered themselves.

    Placeholders may stand for as much as there is `room`, by default that of one document. Raises `InvalidInput` beyond
    it: each takes a few characters, and stands for a whole input.
    """
    try:
        return _rendered(content, inputs, room or Room())
    except ContractError as error:
        raise InvalidInput(
            f"the inputs are too large where they are used: {error}", code="inputs_too_large"
        ) from error


def _rendered(content: Any, inputs: Mapping[str, Any], room: Room) -> Any:
    match content:
        case str():
            return _text(content, inputs, room)
        case {"$from": str(step_id)}:
            return Output(step_id, content.get("at", ""))
        case dict():
            return {key: _rendered(value, inputs, room) for key, value in content.items()}
        case list():
            return [_rendered(value, inputs, room) for value in content]
        case _:
            return content


def steps_in(content: Any) -> frozenset[str]:
    """The steps whose outputs the content uses."""
    return frozenset(str(leaf[FROM]) for _, leaf in _leaves(content, ()) if isinstance(leaf, dict))


def template_problems(
    content: Any, path: Path, inputs: Collection[str], steps: Collection[str]
) -> Iterator[tuple[Path, str]]:
    """Where content names unknown inputs or steps, or names them in a wrong way."""
    for place, leaf in _leaves(content, path):
        problems = _text_problems(leaf, inputs) if isinstance(leaf, str) else _from_problems(leaf, steps)
        yield from ((place, problem) for problem in problems)


def _text(text: str, inputs: Mapping[str, Any], room: Room) -> Any:
    def taken(name: str) -> Any:
        value = inputs[name.strip()]
        room.take(name.strip(), lambda: value)
        return value

    whole = _PLACEHOLDER.fullmatch(text)
    if whole and whole[1] is not None:
        return taken(whole[1])

    def fill(match: re.Match[str]) -> str:
        if match[1] is None:
            return "${"
        value = taken(match[1])
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    return _PLACEHOLDER.sub(fill, text)


def _leaves(content: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Texts and `$from` mappings, with their paths."""
    match content:
        case str() | {"$from": _}:
            yield path, content
        case dict():
            for key, value in content.items():
                yield from _leaves(value, (*path, key))
        case list():
            for index, value in enumerate(content):
                yield from _leaves(value, (*path, index))


def _text_problems(text: str, inputs: Collection[str]) -> Iterator[str]:
    for match in _PLACEHOLDER.finditer(text):
        name = match[1]
        if name is not None and name.strip() not in inputs:
            yield (
                f"${{{short(name)}}} is not an input of the playbook; declared: {named(inputs)} (write $${{ for a "
                "literal ${)"
            )
    if "${" in _PLACEHOLDER.sub("", text):
        yield "${ without a closing } (write $${ for a literal ${)"


def _from_problems(reference: dict[str, Any], steps: Collection[str]) -> Iterator[str]:
    step_id, at = reference[FROM], reference.get("at", "")
    if unknown := sorted(set(reference) - {FROM, "at"}):
        yield f"unknown key next to $from: {named(unknown)}; only at may be there"
    if step_id not in steps:
        yield f"$from: step {short(str(step_id))} not found; the steps are {named(steps)}"
    if not isinstance(at, str) or (at and not at.startswith("/")):
        yield f"at must be a JSON pointer such as /rows/0, not {at!r}"
