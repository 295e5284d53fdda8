"""A model whose requests stay within what is left, and are counted."""

from asyncio import AbstractEventLoop, CancelledError, get_running_loop
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelRateLimitError,
    ModelRequestTimeout,
    UnexpectedModelBehavior,
)
from pydantic_ai.messages import ModelMessage, ModelResponse, ModelResponseStreamEvent
from pydantic_ai.models import CompletedStreamedResponse, ModelRequestParameters, StreamedResponse
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from orchestrator.sdk import Context, ModelRequest, TransientError, described
from orchestrator_services.models.bounds import most_input, most_output, stamp
from orchestrator_services.models.budget import Wallet
from orchestrator_services.models.candidates import Candidate
from orchestrator_services.models.content import content_of
from orchestrator_services.models.errors import asked_wait_s, report_refused
from orchestrator_services.models.observation import observe
from orchestrator_services.models.prices import Tokens
from orchestrator_services.models.rates import Pace, Rate
from orchestrator_services.models.responses import readable
from orchestrator_services.models.settings import rate_entry, settings
from orchestrator_services.models.streams import can_stream, refuses_streams, shown, streamed
from orchestrator_services.models.transfer import RefusedResponseError, statuses
from orchestrator_services.models.usage import counted

MOST_CALLS: Final = 500
"""Calls of one response. The library compares each with those before it, and models write some dozens."""
_LONGEST_WAIT_S: Final = 2.0
"""What takes longer is asked again by recovery: it waits without a place in this process."""
_LONGEST_PAUSE_S: Final = 60.0
"""For all sessions. A provider that asks for a day, by mistake perhaps, is asked by one of them every minute."""
_paces: Final[MutableMapping[AbstractEventLoop, dict[str, Pace]]] = WeakKeyDictionary()
_not_streamed: Final[set[str]] = set()
"""Models whose provider has refused to stream them, to this process."""


class Meter:
    """What the requests of one turn use together, whichever of its models they go to."""

    def __init__(
        self, wallet: Wallet, context: Context, named: Callable[[str], str] = str, *, streams: bool = True
    ) -> None:
        """`named` gives the platform's name of a tool; `streams` says whether responses are shown as they come."""
        self.wallet = wallet
        self.context = context
        self.named = named
        self.streams = streams
        self.last: ModelResponse | None = None
        self.shortened = 0
        """Tokens that the last answer was allowed, if that is fewer than were wanted; else 0."""

    def seconds(self) -> float:
        """The platform's clock."""
        return self.context.now() / 1_000_000


def _pace_of(model: str) -> Pace:
    """The pace of a model in this process."""
    paces = _paces.setdefault(get_running_loop(), {})
    if model not in paces:
        rates = dict(map(rate_entry, settings().rates))
        paces[model] = Pace(rates.get(model, Rate()))
    return paces[model]


@dataclass
class _Sent:
    """A request on its way."""

    messages: list[ModelMessage]
    parameters: ModelRequestParameters
    most_read: int
    """Bounds of what it uses, in tokens."""
    allowed: int
    started_at: int
    first_token_at: int = 0
    """When the first part of a streamed response came; 0 before, and for one that comes at once."""


class MeteredModel(WrapperModel):
    """One model of a turn. Before each request it makes sure that the largest cost fits what is left.

    A response is streamed where it can be, for people to watch, and is always returned as a whole: a stream that
    breaks off is a request that failed, so fallback models and recovery treat it as one.
    """

    def __init__(self, candidate: Candidate, meter: Meter, max_tokens: int) -> None:
        super().__init__(candidate.model)
        self._candidate = candidate
        self._meter = meter
        self._max_tokens = max_tokens

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Raises `PermanentError` with `limit_reached` instead of sending what may not fit."""
        meter, candidate = self._meter, self._candidate
        wanted = (model_settings or {}).get("max_tokens", self._max_tokens)
        # 1. Reserve the largest cost.
        read = most_input(messages, model_request_parameters, candidate.name)
        allowed = meter.wallet.answer_tokens(read, wanted, candidate.price)
        meter.last, meter.shortened = None, allowed if allowed < wanted else 0
        # 2. Wait for its turn, and send.
        pace = _pace_of(candidate.name)
        own: ModelSettings = {**(model_settings or {}), "max_tokens": allowed}
        await pace.turn(read + allowed, meter.context.share, _LONGEST_WAIT_S, meter.seconds)
        sent = _Sent(messages, model_request_parameters, read, allowed, meter.context.now())
        try:
            received = await self._read(own, sent)
        except (Exception, CancelledError) as error:
            self._lost(error, sent)
            if isinstance(error, ModelRateLimitError):
                asked = asked_wait_s(error.retry_after) or 0.0
                pace.pause(min(asked, _LONGEST_PAUSE_S), meter.seconds())
            raise
        # A script takes any name.
        response = readable(received, any_name=isinstance(candidate.model, FunctionModel))
        response = replace(response, usage=counted(response.usage, candidate.name))
        # 3. Settle: count what was used.
        tokens = _tokens(response, read, allowed)
        cost = candidate.cost(tokens, response)
        self._settle(response, tokens, cost, sent)
        pace.settle(read + allowed, tokens.input + tokens.output)
        metadata = {**(response.metadata or {}), **stamp(model_request_parameters, candidate.name)}
        meter.last = replace(response, metadata=metadata)
        self._check_calls(meter.last)
        return meter.last

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,  # noqa: ARG002 - the library passes it
    ) -> AsyncIterator[StreamedResponse]:
        """For agents that handle the events of streams themselves: those of the whole response, once it is counted."""
        response = await self.request(messages, model_settings, model_request_parameters)
        yield CompletedStreamedResponse(
            response, model_request_parameters=model_request_parameters, replay_events=True
        )

    def _check_calls(self, response: ModelResponse) -> None:
        """Refuses what the library takes too long for. It is counted already: it has been paid."""
        if (calls := len(response.tool_calls)) > MOST_CALLS:
            text = f"{self._candidate.name}: the response has {calls:,} calls, of at most {MOST_CALLS}"
            refused = TransientError(text, code="response_unusable")
            raise ModelAPIError(self.wrapped.model_name, text) from refused

    async def _read(self, settings: ModelSettings, sent: _Sent) -> ModelResponse:
        responses: list[int] = []
        token = statuses.set(responses)
        try:
            return await self._response(settings, sent)
        except RefusedResponseError as error:
            # As the library says what breaks a connection, so that fallback models are asked.
            raise ModelConnectionError(self.wrapped.model_name, str(error), phase="read") from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            if not (sent.first_token_at or responses) or isinstance(self.wrapped, FunctionModel):
                raise
            # The library trusts the form of what comes: this is no mistake of the request.
            raise UnexpectedModelBehavior(f"the response cannot be read: {described(error)}") from error
        finally:
            statuses.reset(token)

    async def _response(self, settings: ModelSettings, sent: _Sent) -> ModelResponse:
        meter, name = self._meter, self._candidate.name
        if meter.streams and name not in _not_streamed and can_stream(self.wrapped):
            try:
                return await self._streamed(settings, sent)
            except Exception as error:
                if sent.first_token_at or not refuses_streams(error):
                    raise
                _not_streamed.add(name)
        return await self.wrapped.request(sent.messages, settings, sent.parameters)

    async def _streamed(self, settings: ModelSettings, sent: _Sent) -> ModelResponse:
        context = self._meter.context
        outputs = {tool.name for tool in sent.parameters.output_tools}
        with shown(context, self._meter.named, outputs) as response:

            def take(event: ModelResponseStreamEvent) -> None:
                sent.first_token_at = sent.first_token_at or context.now()
                response.take(event)

            return await streamed(self.wrapped, sent.messages, settings, sent.parameters, take)

    def _settle(self, response: ModelResponse, tokens: Tokens, cost: int, sent: _Sent) -> None:
        meter = self._meter
        meter.wallet.pay(tokens.input + tokens.output, cost)
        meter.context.use(
            model_requests=1,
            tokens_input=tokens.input,
            tokens_cached=tokens.cache_read,
            tokens_output=tokens.output,
            cost_usd=cost / 1_000_000,
        )
        self._observe(
            sent,
            response,
            responded_as=response.model_name or "",
            tokens_input=tokens.input,
            tokens_cached=tokens.cache_read,
            tokens_output=tokens.output,
            cost_micro_usd=cost,
            finish_reason=response.finish_reason or "",
            max_tokens=sent.allowed,
        )

    def _lost(self, error: BaseException, sent: _Sent) -> None:
        """A request without a response. If the provider may have worked on it, the reservation is not given back: it
        is reported as unsettled."""
        meter = self._meter
        if isinstance(error, ModelAuthenticationError):
            report_refused(self._candidate.name)
        if sent.first_token_at or _may_be_billed(error):
            tokens, cost = sent.most_read + sent.allowed, self._candidate.most(sent.most_read, sent.allowed)
            meter.wallet.pay(tokens, cost)
            meter.context.use_unsettled(tokens=tokens, cost_usd=cost / 1_000_000)
        self._observe(sent, error=type(error).__name__)

    def _observe(self, sent: _Sent, response: ModelResponse | None = None, **known: Any) -> None:
        context = self._meter.context
        done = ModelRequest(
            model=self._candidate.name,
            provider=self.system,
            started_at=sent.started_at,
            first_token_at=sent.first_token_at,
            ended_at=context.now(),
            content=partial(content_of, sent.messages, sent.parameters, response, self._meter.named),
            **known,
        )
        observe(done, context)


def _may_be_billed(error: BaseException) -> bool:
    if isinstance(error, ModelConnectionError):
        return error.phase not in ("pool", "connect")
    # The library cancels a request that takes too long, and raises its timeout outside of it.
    if isinstance(error, ModelRequestTimeout | CancelledError):
        return True
    return isinstance(error, ModelAPIError) and error.in_stream


def _tokens(response: ModelResponse, most_read: int, most_written: int) -> Tokens:
    """What a response used; at most what was reserved, where its provider does not say."""
    usage = response.usage
    if not usage.has_values():
        return Tokens(input=most_read, output=min(most_written, most_output(response)))
    return Tokens(
        input=usage.input_tokens,
        output=usage.output_tokens,
        cache_read=usage.cache_read_tokens,
        cache_written=usage.cache_write_tokens,
        cache_written_1h=usage.cache_write_1h_tokens,
    )
