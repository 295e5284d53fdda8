"""What a playbook writes for data that is not there yet: `${input}` and `{$from: step, at: /pointer}`.

`${name}` is filled by the planner. A text that is nothing else becomes the input with its JSON type; inside a
longer text it becomes text, JSON for what is no text. `$${` stands for `${`. `{$from: step, at: /pointer}`,
`at` being a JSON pointer (RFC 6901), is filled when the step that uses it runs.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from orchestrator.sdk.planning import Output
from orchestrator.sdk.yaml_documents import Path

FROM: Final = "$from"
_PLACEHOLDER: Final = re.compile(r"\$\$\{|\$\{([^{}]*)\}")


def rendered(content: Any, inputs: Mapping[str, Any]) -> Any:
    """The content with inputs filled in and `Output` for what comes from steps. Inputs are not rendered again."""
    match content:
        case str():
            return _text(content, inputs)
        case {"$from": str(step_id)}:
            return Output(step_id, content.get("at", ""))
        case dict():
            return {key: rendered(value, inputs) for key, value in content.items()}
        case list():
            return [rendered(value, inputs) for value in content]
        case _:
            return content


def steps_in(content: Any) -> frozenset[str]:
    """Steps whose outputs the content takes something from."""
    return frozenset(str(leaf[FROM]) for _, leaf in _leaves(content, ()) if isinstance(leaf, dict))


def template_problems(
    content: Any, path: Path, inputs: Collection[str], steps: Collection[str]
) -> Iterator[tuple[Path, str]]:
    """Where content names inputs or steps that are not there, or names them in a wrong way."""
    for place, leaf in _leaves(content, path):
        problems = _text_problems(leaf, inputs) if isinstance(leaf, str) else _from_problems(leaf, steps)
        yield from ((place, problem) for problem in problems)


def _text(text: str, inputs: Mapping[str, Any]) -> Any:
    whole = _PLACEHOLDER.fullmatch(text)
    if whole and whole[1] is not None:
        return inputs[whole[1].strip()]

    def fill(match: re.Match[str]) -> str:
        if match[1] is None:
            return "${"
        value = inputs[match[1].strip()]
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

    return _PLACEHOLDER.sub(fill, text)


def _leaves(content: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    """Texts and `$from` mappings, with where they are."""
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
            declared = ", ".join(inputs) or "none"
            yield f"${{{name}}} is no input of the playbook; declared: {declared} (write $${{ for a plain ${{)"
    if "${" in _PLACEHOLDER.sub("", text):
        yield "a ${ is not closed (write $${ for a plain ${)"


def _from_problems(reference: dict[str, Any], steps: Collection[str]) -> Iterator[str]:
    step_id, at = reference[FROM], reference.get("at", "")
    if unknown := sorted(set(reference) - {FROM, "at"}):
        yield f"beside $from there may be only at, not {', '.join(unknown)}"
    if step_id not in steps:
        yield f"$from names {step_id}, which is no step; there are {', '.join(steps)}"
    if not isinstance(at, str) or (at and not at.startswith("/")):
        yield f"at must be a JSON pointer, such as /rows/0, not {at!r}"
