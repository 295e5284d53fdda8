"""A model whose requests stay within what is left, and are counted."""

from dataclasses import replace

from pydantic_ai.exceptions import (
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelRequestTimeout,
)
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.settings import ModelSettings

from orchestrator.sdk import Context
from orchestrator_services.models.bounds import most_input, most_output, stamp
from orchestrator_services.models.budget import Wallet
from orchestrator_services.models.candidates import Candidate
from orchestrator_services.models.errors import report_refused
from orchestrator_services.models.observation import Observer, RequestDone
from orchestrator_services.models.prices import Tokens
from orchestrator_services.models.responses import with_distinct_calls


class Meter:
    """What the requests of one turn use together, whichever of its models they go to."""

    def __init__(self, wallet: Wallet, context: Context, observe: Observer) -> None:
        self.wallet = wallet
        self.context = context
        self.observe = observe
        self.last: ModelResponse | None = None
        self.shortened = 0
        """Tokens that the last answer was allowed, if that is fewer than were wanted; else 0."""


class MeteredModel(WrapperModel):
    """One model of a turn. Before each request it makes sure that the largest cost fits what is left."""

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
        # 2. Send.
        settings: ModelSettings = {**(model_settings or {}), "max_tokens": allowed}
        started = meter.context.now()
        try:
            response = await super().request(messages, settings, model_request_parameters)
        except Exception as error:
            self._lost(error, read + allowed, candidate.most(read, allowed), started)
            raise
        # 3. Settle: count what was used.
        tokens = _tokens(response, read, allowed)
        cost = candidate.cost(tokens, response)
        self._settle(response, tokens, cost, started, allowed)
        meter.last = with_distinct_calls(
            replace(
                response,
                metadata={
                    **(response.metadata or {}),
                    **stamp(model_request_parameters, candidate.name),
                },
            )
        )
        return meter.last

    def _settle(self, response: ModelResponse, tokens: Tokens, cost: int, started: int, allowed: int) -> None:
        meter = self._meter
        meter.wallet.pay(tokens.input + tokens.output, cost)
        meter.context.use(
            model_requests=1,
            tokens_input=tokens.input,
            tokens_cached=tokens.cache_read,
            tokens_output=tokens.output,
            cost_usd=cost / 1_000_000,
        )
        done = RequestDone(
            model=self._candidate.name,
            responded_as=response.model_name or "",
            provider=self.system,
            started_at=started,
            ended_at=meter.context.now(),
            tokens=tokens,
            cost_micro_usd=cost,
            finish_reason=response.finish_reason or "",
            max_tokens=allowed,
        )
        meter.observe(done, meter.context)

    def _lost(self, error: Exception, tokens: int, cost: int, started: int) -> None:
        """A request without a response. If the provider may have worked on it, the reservation is not given back."""
        meter = self._meter
        if isinstance(error, ModelAuthenticationError):
            report_refused(self._candidate.name)
        if _may_be_billed(error):
            meter.wallet.pay(tokens, cost)
        done = RequestDone(
            model=self._candidate.name,
            provider=self.system,
            started_at=started,
            ended_at=meter.context.now(),
            error=type(error).__name__,
        )
        meter.observe(done, meter.context)


def _may_be_billed(error: Exception) -> bool:
    if isinstance(error, ModelConnectionError):
        return error.phase not in ("pool", "connect")
    return isinstance(error, ModelRequestTimeout) or (isinstance(error, ModelAPIError) and error.in_stream)


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
