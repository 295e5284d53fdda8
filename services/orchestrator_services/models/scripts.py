"""Scripted models, as the client's library asks them."""

import json
import re
from collections.abc import Iterator, Sequence
from inspect import isawaitable
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponsePart,
    RetryFeedbackPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.usage import RequestUsage
from pydantic_core import to_json

from orchestrator_services.models.conversion import encoded
from orchestrator_services.models.prices import Price
from orchestrator_services.models.scripted import NOTHING, Asked, Heard, Says, Script

_BYTES_PER_TOKEN = 4
_CLIENT = re.compile(r"^<system>|<pyai:(validation_errors|retry_feedback)>")
"""How the library marks what it says itself in place of the user."""


class ScriptedModel(FunctionModel):
    """A model that a function stands for."""

    def __init__(self, name: str, script: Script, price: Price) -> None:
        self.price = price
        self._script = script
        super().__init__(self._respond, model_name=name)

    async def _respond(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        reply: Any = self._script(_asked(messages, info))
        if isawaitable(reply):
            reply = await reply
        says = Says(text=reply) if isinstance(reply, str) else reply
        turn = sum(isinstance(message, ModelResponse) for message in messages)
        parts = list(_parts(says, turn, info))
        most = (info.model_settings or {}).get("max_tokens")
        written = says.tokens_output if says.tokens_output is not None else _tokens(parts)
        reason = says.finish_reason or "stop"
        if most is not None and written > most:
            written, reason = most, "length"
            parts = [TextPart(says.text[: most * _BYTES_PER_TOKEN])] if says.text else []
        read = says.tokens_input
        if read is None:
            read = len(to_json([info.instructions, encoded(messages)])) // _BYTES_PER_TOKEN
        usage = RequestUsage(input_tokens=read, output_tokens=written, cache_read_tokens=says.tokens_cached)
        return ModelResponse(parts=parts, usage=usage, finish_reason=reason)


def _parts(says: Says, turn: int, info: AgentInfo) -> Iterator[ModelResponsePart]:
    if says.text:
        yield TextPart(says.text)
    for index, (tool, arguments) in enumerate(says.calls):
        given = arguments if isinstance(arguments, dict | str) else json.dumps(arguments)
        yield ToolCallPart(tool, given, f"call-{turn}-{index}")
    if says.output is not NOTHING:
        if info.output_tools:
            final = info.output_tools[0]
            output = _wrapped(says.output, final.parameters_json_schema)
            yield ToolCallPart(final.name, output, f"output-{turn}")
        else:
            yield TextPart(json.dumps(says.output))


def _wrapped(output: Any, schema: dict[str, Any]) -> Any:
    """The output in the object that is asked for where the schema's type is another one."""
    if isinstance(output, dict) or set(schema.get("properties", ())) != {"result"}:
        return output if isinstance(output, dict | str) else json.dumps(output)
    return {"result": output}


def _tokens(parts: Sequence[ModelResponsePart]) -> int:
    return 1 + len(to_json(encoded([ModelResponse(parts=parts)])[0]["parts"])) // _BYTES_PER_TOKEN


def _asked(messages: Sequence[ModelMessage], info: AgentInfo) -> Asked:
    output = info.output_tools[0].parameters_json_schema if info.output_tools else None
    return Asked(
        messages=[heard for message in messages for heard in _heard(message)],
        instructions=info.instructions or "",
        tools=[tool.name for tool in info.function_tools],
        output_schema=output,
        settings=dict(info.model_settings or {}),
    )


def _heard(message: ModelMessage) -> Iterator[Heard]:
    if isinstance(message, ModelRequest):
        for part in message.parts:
            match part:
                case UserPromptPart(content=str(text)):
                    yield Heard("client" if _CLIENT.search(text) else "user", text)
                case ToolReturnPart():
                    yield Heard(
                        "tool",
                        part.model_response_str(wrap_if_error=False),
                        part.tool_name,
                        part.tool_call_id,
                        problem=part.outcome != "success",
                    )
                case RetryFeedbackPart():
                    yield Heard("client", part.model_response(), problem=True)
                case _:
                    pass
        return
    for said in message.parts:
        match said:
            case TextPart():
                yield Heard("model", said.content)
            case ToolCallPart():
                yield Heard("model", "", said.tool_name, said.tool_call_id, said.args)
            case _:
                pass
