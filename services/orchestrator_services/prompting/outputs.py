"""Outputs of tools, as models are shown them: whole where they are small, their beginning and shape otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from orchestrator.sdk import ContractError, Values
from orchestrator.sdk.messages import json_value, read_json, types
from orchestrator_services.prompting.data import as_text, data, json_text

MOST_SHOWN: Final = 16_000
"""Largest output that is shown whole, characters of its JSON."""
_HEAD: Final = 4_000
"""Characters that are shown of a larger one."""
_KEYS: Final = 20
_LONGEST_KEY: Final = 80
_DEPTH: Final = 3


@dataclass(frozen=True)
class Reference:
    """An output in a conversation: its value, and the step whose output it is."""

    value: types.Value
    step: str
    tool: str

    @property
    def is_stored(self) -> bool:
        """Whether the value lies in the value store."""
        return self.value.uri is not None

    def content(self) -> dict[str, Any]:
        """As it stands in the messages of a conversation, in place of the output."""
        names = {"step": self.step, "tool": self.tool}
        if self.is_stored:
            return {"$value": msgspec.to_builtins(self.value), **names}
        return {"$inline": read_json(self.value), **names}

    @classmethod
    def of(cls, content: Any) -> "Reference | None":
        """The reference that stands in a message; None for anything else. Raises `ContractError` if it is damaged."""
        if not isinstance(content, Mapping) or not {"$value", "$inline"} & content.keys():
            return None
        try:
            value = (
                json_value(content["$inline"])
                if "$inline" in content
                else msgspec.convert(content["$value"], types.Value)
            )
        except msgspec.ValidationError as error:
            raise ContractError(f"a reference in the conversation cannot be read: {error}") from error
        return cls(value, str(content.get("step", "")), str(content.get("tool", "")))


@dataclass(frozen=True)
class Shown:
    """Something as the model reads it, and what stands for it in the conversation."""

    text: str
    reference: Reference | None = None
    """Of an output; None where the text itself is kept."""


async def shown(value: types.Value, step: str, tool: str, values: Values) -> Shown:
    """An output that a model sees for the first time. What is not shown whole is kept in the value store."""
    content = await values.load(value)
    if value.uri is None and len(json_text(content)) > MOST_SHOWN:
        value = await values.keep(content)
    return Shown(rendered(content, step, tool), Reference(value, step, tool))


def kept(piece: Shown) -> Any:
    """What stands for it in the conversation."""
    return piece.text if piece.reference is None else piece.reference.content()


async def shown_again(content: Any, values: Values) -> Shown:
    """The same, from what stands for it in the conversation."""
    reference = Reference.of(content)
    if reference is None:
        return Shown(str(content))
    output = await values.load(reference.value)
    return Shown(rendered(output, reference.step, reference.tool), reference)


def rendered(content: Any, step: str, tool: str, most: int = MOST_SHOWN) -> str:
    """The same output always reads the same, so that a restart changes nothing in a conversation."""
    text = as_text(content)
    if len(text) <= most:
        return data(text, tool=tool, step=step)
    beginning = data(text[:_HEAD], tool=tool, step=step, shown=f"{_HEAD} of {len(text)} characters")
    described = json_text(shape(content))[:_HEAD]
    return f"{beginning}\n{data(described, tool=tool, step=step, shown='its shape')}"


def shape(content: Any, depth: int = _DEPTH) -> Any:
    """What a large value is made of: the types of its keys, and of the first item of its lists."""
    if isinstance(content, Mapping):
        if not depth:
            return f"object of {len(content)} keys"
        names = list(content)[:_KEYS]
        described = {str(name)[:_LONGEST_KEY]: shape(content[name], depth - 1) for name in names}
        more = len(content) - len(names)
        return {**described, "…": f"{more} more keys"} if more else described
    if isinstance(content, list):
        first = [shape(content[0], depth - 1)] if content and depth else []
        return [*first, f"{len(content)} items"]
    if isinstance(content, str):
        return f"text of {len(content)} characters"
    return type(content).__name__
