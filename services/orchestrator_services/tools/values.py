"""Reading on in a value that is too large to be shown whole."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.sdk import Context, ContractError, InvalidInput, tool
from orchestrator.sdk.messages import fill_content, types
from orchestrator_services.prompting.data import as_text


class StoredValue(BaseModel):
    """A value in the value store, as messages carry it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    size: int
    sha256: str = Field(min_length=64, max_length=64)
    media_type: str = "application/json"


class ValuePart(BaseModel):
    model_config = ConfigDict(frozen=True)

    text: str
    offset: int
    next_offset: int | None = Field(description="Where to continue; null at the end.")
    characters: int = Field(description="Of everything at the pointer.")


@tool("values.read", capability="value-read", timeout="30s")
async def read_value(
    context: Context,
    value: StoredValue | None = None,
    step: str = "",
    pointer: str = "",
    offset: Annotated[int, Field(ge=0)] = 0,
    length: Annotated[int, Field(ge=1, le=20_000)] = 8_000,
) -> ValuePart:
    """Reads a part of a large output: text as it is, other data as JSON."""
    if value is None:
        raise InvalidInput(
            f"there is no large output of step {step or '(none named)'}: name the step of one that was shown in part"
        )
    content = await context.values.load(types.Value(**value.model_dump()))
    text = _text_at(content, pointer)
    end = offset + length
    return ValuePart(
        text=text[offset:end],
        offset=offset,
        next_offset=end if end < len(text) else None,
        characters=len(text),
    )


def _text_at(content: Any, pointer: str) -> str:
    try:
        found = fill_content(None, [types.Reference(step_id="value", at=pointer)], {"value": content})
    except ContractError as error:
        raise InvalidInput(f"nothing is at {pointer!r} in the output: {error}") from error
    return as_text(found)
