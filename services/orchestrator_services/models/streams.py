"""Streamed responses: which models can stream, and what of a stream is shown while it comes."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

from pydantic_ai.exceptions import ModelConnectionError, ModelHTTPError
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    ModelResponseStreamEvent,
    PartDeltaEvent,
    PartEndEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.models import Model as ClientModel
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings
from pydantic_core import to_json

from orchestrator.sdk import Context, TransientError
from orchestrator_services.models.throttle import Throttle

_REFUSALS: Final = frozenset({400, 404, 405, 422, 501})
"""Statuses of HTTP with which a provider says that it does not stream a model."""
_STREAM_PARAMETERS: Final = ("stream", "stream_options")


_WITH_FINISH_REASON: Final = frozenset(
    f"{protocol}StreamedResponse"
    for protocol in (
        "OpenAI",
        "Anthropic",
        "Bedrock",
        "Cohere",
        "Gemini",
        "Groq",
        "HuggingFace",
        "Mistral",
        "Xai",
    )
)
"""Types of the library, by name: most of their modules need clients that are not installed. Streams of OpenAI's other
protocol end with an event, without which the library calls them incomplete."""
_WITHOUT_FINISH_REASON: Final = frozenset({"SnowflakeStreamedResponse"})
"""Those of providers that are known to leave it out."""


class Shown:
    """A response that people watch while it comes."""

    def __init__(self, throttle: Throttle, named: Callable[[str], str], outputs: Collection[str]) -> None:
        """`named` gives the platform's name of a tool, `outputs` are names of tools that stand for the answer."""
        self._throttle = throttle
        self._named = named
        self._outputs = outputs
        self._tools: dict[int, str] = {}

    def take(self, event: ModelResponseStreamEvent) -> None:
        """Reasoning, files, and what the provider does itself are not shown."""
        match event:
            case PartStartEvent(part=TextPart() as text):
                self._throttle.add(event.index, text.content)
            case PartStartEvent(part=ToolCallPart() as call):
                self._tools[event.index] = self._tool(call.tool_name)
                self._add_arguments(event.index, call.args)
            case PartDeltaEvent(delta=TextPartDelta() as delta):
                self._throttle.add(event.index, delta.content_delta)
            case PartDeltaEvent(delta=ToolCallPartDelta() as delta):
                self._add_arguments(event.index, delta.args_delta)
            case PartEndEvent(part=TextPart() | ToolCallPart()):
                self._throttle.add(event.index, "", self._tools.get(event.index, ""), ended=True)
            case _:
                pass

    def _add_arguments(self, part: int, arguments: str | dict[str, object] | None) -> None:
        text = to_json(arguments).decode() if isinstance(arguments, dict) else arguments or ""
        self._throttle.add(part, text, self._tools.get(part, ""))

    def _tool(self, name: str) -> str:
        return "" if name in self._outputs else self._named(name)


@contextmanager
def shown(context: Context, named: Callable[[str], str], outputs: Collection[str]) -> Iterator[Shown]:
    """Shows a response of the context's call from its first to its last word."""
    throttle = Throttle(context.stream, context.next_model_request())
    try:
        yield Shown(throttle, named, outputs)
    finally:
        throttle.close()


async def streamed(
    model: ClientModel,
    messages: list[ModelMessage],
    settings: ModelSettings,
    parameters: ModelRequestParameters,
    take: Callable[[ModelResponseStreamEvent], None],
) -> ModelResponse:
    """The whole response, whose events `take` gets as they come. Raises as `model.request` does."""
    async with model.request_stream(messages, settings, parameters) as stream:
        async for event in stream:
            take(event)
    response = stream.get()
    if response.state in ("incomplete", "interrupted"):
        raise ModelConnectionError(model.model_name, "the stream ended before the response did", phase="read")
    if not _finished(stream):
        # Servers and proxies close connections properly when what is behind them has died.
        raise ModelConnectionError(model.model_name, "no finish reason", phase="read") from TransientError(
            f"the stream of {model.model_name} ended before the response did, without a finish reason; for a server "
            "that never sends one, set ORCHESTRATOR_MODELS_STREAM=false",
            code="model_unavailable",
        )
    return response


def _finished(stream: StreamedResponse) -> bool:
    """Whether the provider said why the response ended, if its protocol has such a reason. The library takes an
    answer in OpenAI's chat protocol that just stops for one that is complete."""
    kinds = {
        kind.__name__ for kind in type(stream).__mro__ if kind.__module__.startswith("pydantic_ai.models.")
    }
    if not kinds & _WITH_FINISH_REASON or kinds & _WITHOUT_FINISH_REASON:
        return True
    if (stream.provider_details or {}).get("finish_reason"):
        return True
    if "OpenAIStreamedResponse" in kinds:
        # What the library puts in the place of a reason that did not come.
        return stream.finish_reason != "stop"
    return stream.finish_reason is not None


def can_stream(model: ClientModel) -> bool:
    """Whether requests to a model may be streamed, as far as its class shows."""
    while isinstance(model, WrapperModel):
        # What such a wrapper does to requests would not be done to streams.
        wraps_requests = type(model).request is not WrapperModel.request
        if wraps_requests and type(model).request_stream is WrapperModel.request_stream:
            return False
        model = model.wrapped
    kind = type(model)
    if isinstance(model, FunctionModel) and kind.request_stream is FunctionModel.request_stream:
        return model.stream_function is not None
    return kind.request_stream is not ClientModel.request_stream


def refuses_streams(error: Exception) -> bool:
    """Whether the error says that this model is not streamed, to anybody or to this account."""
    if isinstance(error, NotImplementedError):
        return True
    if not isinstance(error, ModelHTTPError) or error.status_code not in _REFUSALS:
        return False
    body = error.body if isinstance(error.body, dict) else {}
    said = body.get("error", body)
    return isinstance(said, dict) and said.get("param") in _STREAM_PARAMETERS
