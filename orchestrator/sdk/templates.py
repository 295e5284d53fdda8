"""Placeholders of playbooks: `${input}` and `{$from: step, at: /pointer}`.

The planner fills in `${name}`. A text that is nothing else becomes the input, with its JSON type; inside a longer
text it becomes text, or JSON if the input is not text. `$${` stands for `${`. `{$from: step, at: /pointer}` is
filled in when the step that uses it runs; `at` is a JSON pointer (RFC 6901).
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
    """The content with inputs filled in, and an `Output` for each `$from`. Inputs are not rendered themselves."""
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
    """The steps whose outputs the content uses."""
    return frozenset(str(leaf[FROM]) for _, leaf in _leaves(content, ()) if isinstance(leaf, dict))


def template_problems(
    content: Any, path: Path, inputs: Collection[str], steps: Collection[str]
) -> Iterator[tuple[Path, str]]:
    """Where content names unknown inputs or steps, or names them in a wrong way."""
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
            declared = ", ".join(inputs) or "none"
            yield f"${{{name}}} is not an input of the playbook; declared: {declared} (write $${{ for a literal ${{)"
    if "${" in _PLACEHOLDER.sub("", text):
        yield "${ without a closing } (write $${ for a literal ${)"


def _from_problems(reference: dict[str, Any], steps: Collection[str]) -> Iterator[str]:
    step_id, at = reference[FROM], reference.get("at", "")
    if unknown := sorted(set(reference) - {FROM, "at"}):
        yield f"unknown key next to $from: {', '.join(unknown)}; only at may be there"
    if step_id not in steps:
        yield f"$from: step {step_id} not found; the steps are {', '.join(steps)}"
    if not isinstance(at, str) or (at and not at.startswith("/")):
        yield f"at must be a JSON pointer such as /rows/0, not {at!r}"
