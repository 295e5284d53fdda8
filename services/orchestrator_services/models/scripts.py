"""Scripted models, as the client's library asks them."""

import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from inspect import isawaitable
from typing import Any

from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    RetryFeedbackPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import CompletedStreamedResponse, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage
from pydantic_core import to_json

from orchestrator_services.models.conversion import encoded
from orchestrator_services.models.prices import Price
from orchestrator_services.models.scripted import NOTHING, Asked, Heard, Says, Script

_BYTES_PER_TOKEN = 4
_WORD = re.compile(r"\s*\S+|\s+$")
_PIECE = re.compile(r".{1,12}", re.DOTALL)
"""Of arguments, which have no words."""
_CLIENT = re.compile(r"^<system>|<pyai:(validation_errors|retry_feedback)>")
"""How the library marks what it says itself in place of the user."""


class ScriptedModel(FunctionModel):
    """A model that a function stands for."""

    def __init__(self, name: str, script: Script, price: Price) -> None:
        self.price = price
        self._script = script
        super().__init__(self._respond, model_name=name)

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,  # noqa: ARG002 - the library passes it
    ) -> AsyncIterator[StreamedResponse]:
        response = await self.request(messages, model_settings, model_request_parameters)
        yield _WordByWord(response, model_request_parameters=model_request_parameters)

    async def _respond(self, messages: list[ModelMessage], info: AgentInfo) -> ModelResponse:
        asked = _asked(messages, info)
        reply: Any = self._script(asked)
        if isawaitable(reply):
            reply = await reply
        says = Says(text=reply) if isinstance(reply, str) else reply
        turn = sum(isinstance(message, ModelResponse) for message in messages)
        return _cut(_response(says, asked, turn, info), (info.model_settings or {}).get("max_tokens"))


class _WordByWord(CompletedStreamedResponse):
    """A response as a stream of its words, and of pieces of its arguments."""

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        parts = self._parts_manager
        for index, part in enumerate(self.response.parts):
            match part:
                case TextPart():
                    for piece in _WORD.findall(part.content):
                        for event in parts.handle_text_delta(vendor_part_id=index, content=piece):
                            yield event
                case ToolCallPart():
                    written = part.args if isinstance(part.args, str) else part.args_as_json_str()
                    for piece in _PIECE.findall(written):
                        for event in parts.handle_tool_call_delta_events(
                            vendor_part_id=index,
                            tool_name=None if parts.get_part_by_vendor_id(index) else part.tool_name,
                            args=piece,
                            tool_call_id=part.tool_call_id,
                        ):
                            yield event
                case _:
                    pass


def _response(says: Says, asked: Asked, turn: int, info: AgentInfo) -> ModelResponse:
    parts = list(_parts(says, turn, info))
    usage = RequestUsage(
        input_tokens=_read(asked) if says.tokens_input is None else says.tokens_input,
        output_tokens=_written(parts) if says.tokens_output is None else says.tokens_output,
        cache_read_tokens=says.tokens_cached,
    )
    return ModelResponse(parts=parts, usage=usage, finish_reason=says.finish_reason or "stop")


def _cut(response: ModelResponse, most: int | None) -> ModelResponse:
    """The response as a provider cuts it that allows `most` tokens."""
    if most is None or response.usage.output_tokens <= most:
        return response
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    return replace(
        response,
        parts=[TextPart(text[: most * _BYTES_PER_TOKEN])] if text else [],
        usage=replace(response.usage, output_tokens=most),
        finish_reason="length",
    )


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


def _read(asked: Asked) -> int:
    said = sum(len(one.text) + len(str(one.arguments or "")) for one in asked.messages)
    return (len(asked.instructions) + said) // _BYTES_PER_TOKEN


def _written(parts: Sequence[ModelResponsePart]) -> int:
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
