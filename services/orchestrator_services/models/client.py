"""The model client: one turn is one run of a pydantic-ai agent whose tools the platform runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_ai import (
    Agent,
    DeferredToolRequests,
    DeferredToolResults,
    ModelRetry,
    UsageLimits,
    capture_run_messages,
)
from pydantic_ai.agent import AgentRunResult
from pydantic_ai.exceptions import (
    OutputTokenLimitExceeded,
    ToolFailed,
    UnexpectedModelBehavior,
    UsageLimitExceeded,
)
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.settings import ModelSettings

from orchestrator.sdk import Context, HandlerError, InvalidInput, PermanentError
from orchestrator.sdk.messages import first_of, short
from orchestrator_services.models.budget import Wallet
from orchestrator_services.models.candidates import Candidate, candidate, require_price
from orchestrator_services.models.conversion import (
    as_text,
    decoded,
    encoded,
    last_response,
    open_calls,
    problem_of,
    text_of,
)
from orchestrator_services.models.earlier import WithEarlier, last_response_at
from orchestrator_services.models.errors import failed
from orchestrator_services.models.metering import Meter, MeteredModel
from orchestrator_services.models.names import SameNames, ToolNames
from orchestrator_services.models.outputs import Output
from orchestrator_services.models.port import (
    Budget,
    History,
    ModelClient,
    ToolAnswer,
    ToolCall,
    TurnReply,
    TurnRequest,
)
from orchestrator_services.models.request_settings import request_settings
from orchestrator_services.models.settings import ModelsSettings, settings
from orchestrator_services.models.toolset import PlatformTools


class PydanticModelClient(ModelClient):
    """Asks models by pydantic-ai. It has no state but the clients of providers, which all turns share."""

    async def turn(self, request: TurnRequest, context: Context) -> TurnReply:
        """As `ModelClient.turn` says."""
        return await Run.of(request, context, settings()).turn()


@dataclass(frozen=True)
class Run:
    """One turn: what is asked, of which models, with what is left."""

    request: TurnRequest
    history: tuple[ModelMessage, ...]
    answers: dict[str, Any]
    candidates: Sequence[Candidate]
    names: ToolNames
    output: Output | None
    settings: ModelSettings
    meter: Meter
    max_requests: int

    @classmethod
    def of(cls, request: TurnRequest, context: Context, given: ModelsSettings) -> "Run":
        """Raises `PermanentError` for what can be seen to be wrong before anything is sent."""
        policy = request.model
        candidates = [candidate(name, context, given) for name in (policy.name, *policy.fallback)]
        if request.budget.cost_micro_usd is not None:
            for one in candidates:
                require_price(one)
        scripted = all(isinstance(one.model, FunctionModel) for one in candidates)
        history = () if request.history is None else request.history.decoded
        names = SameNames() if scripted else ToolNames(tool.name for tool in request.tools)
        return cls(
            request=request,
            history=history,
            answers=answers_in(history, request),
            candidates=candidates,
            names=names,
            output=None if request.output_schema is None else Output(request.output_schema),
            settings=request_settings(
                policy.settings,
                [one.model for one in candidates],
                given,
                continues=bool(request.tools or history),
            ),
            meter=Meter(Wallet.of(request.budget), context, names.to_platform, streams=given.stream),
            max_requests=most_requests(request.budget, given),
        )

    async def turn(self) -> TurnReply:
        """What the model replies. Raises what `ModelClient` says."""
        with capture_run_messages() as seen:
            try:
                result = await self.result()
            except Exception as error:  # noqa: BLE001 - a model may raise anything
                explained = self.explained(error, seen)
                # What a provider says about refused credentials may hold a part of them.
                raise explained from (None if explained.code == "bad_credentials" else error)
        return self.reply(result)

    async def result(self) -> AgentRunResult[Any]:
        history = self.names.history_for_model(self.history)
        begin = last_response_at(history)
        return await self._agent(history[:begin]).run(
            self.request.prompt or None,
            message_history=history[begin:],
            deferred_tool_results=DeferredToolResults(calls=self.answers) if self.answers else None,
            model_settings=self.settings,
            usage_limits=UsageLimits(request_limit=self.max_requests),
        )

    def _agent(self, earlier: Sequence[ModelMessage]) -> Agent[None, Any]:
        models = [MeteredModel(one, self.meter, self.settings["max_tokens"]) for one in self.candidates]
        agent: Agent[None, Any] = Agent(
            WithEarlier(models[0] if len(models) == 1 else FallbackModel(*models), earlier),
            output_type=[self.output.type if self.output else str, DeferredToolRequests],
            instructions=self.request.instructions or None,
            toolsets=[PlatformTools(self.request.tools, self.names, self.max_requests)],
            # Requests are what is limited, whatever they were repeated for.
            retries=self.max_requests,
        )
        if self.output:
            agent.output_validator(self._checked)
        return agent

    def _checked(self, answer: Any) -> Any:
        asked_for_tools = isinstance(answer, DeferredToolRequests)
        if self.output and not asked_for_tools and (problems := self.output.problems(answer)):
            raise ModelRetry(f"the output does not fit its schema: {'; '.join(problems)}")
        return answer

    def reply(self, result: AgentRunResult[Any]) -> TurnReply:
        """Raises `PermanentError` if the model's answer was cut or refused."""
        messages = self.names.history_of_platform(result.new_messages())
        # Decoded from what is kept: a history is the same, whoever has it.
        kept = encoded(messages)
        history = History((*self.history, *decoded(kept)))
        calls: list[ToolCall] = []
        if isinstance(result.output, DeferredToolRequests):
            calls = list(history.open_calls)
        else:
            self._check_complete()
        return TurnReply(
            calls=calls,
            output=None if calls else self.unwrapped(result.output),
            text=text_of(last_response(messages)),
            messages=kept,
            history=history,
        )

    def unwrapped(self, output: Any) -> Any:
        """The output as JSON data."""
        return self.output.unwrapped(output) if self.output else output

    def _check_complete(self) -> None:
        reason = self.meter.last.finish_reason if self.meter.last else None
        if reason == "length":
            raise self._cut()
        if reason == "content_filter":
            raise PermanentError(
                f"{self.request.model.name}: the provider's content filter cut the answer",
                code="content_refused",
            )

    def explained(self, error: Exception, seen: Sequence[ModelMessage]) -> HandlerError:
        """The error that the turn raises."""
        cut = self.meter.last is not None and self.meter.last.finish_reason == "length"
        if cut and isinstance(error, OutputTokenLimitExceeded | UsageLimitExceeded | UnexpectedModelBehavior):
            return self._cut()
        if isinstance(error, UsageLimitExceeded):
            return PermanentError(
                f"{self.request.model.name} gave neither an output that fits nor a call that a tool takes, in "
                f"{self.max_requests} requests; the last problem: {problem_of(seen)}",
                code="output_does_not_fit",
            )
        return failed(error, {one.model.model_name: one.name for one in self.candidates})

    def _cut(self) -> PermanentError:
        if self.meter.shortened:
            return PermanentError(
                f"the answer was cut after {self.meter.shortened} tokens, because the session's limits left no more: "
                "raise its limits of tokens or cost",
                code="limit_reached",
            )
        return PermanentError(
            f"the answer was cut after {self.settings['max_tokens']} tokens: raise max_tokens in the agent's model "
            "settings",
            code="output_too_long",
        )


def most_requests(budget: Budget, given: ModelsSettings) -> int:
    """How often one turn may ask."""
    return given.max_requests if budget.requests is None else min(given.max_requests, budget.requests)


def answers_in(history: Sequence[ModelMessage], request: TurnRequest) -> dict[str, Any]:
    """The answers as the library takes them. Raises `InvalidInput` unless each open call has exactly one."""
    waiting = {call.tool_call_id for call in open_calls(history)}
    given = set(request.answers)
    if waiting != given:
        problems = [f"no answer to {short(call)}" for call in sorted(waiting - given)]
        problems += [f"{short(call)} does not wait for an answer" for call in sorted(given - waiting)]
        raise InvalidInput("; ".join(first_of(problems)), code="unanswered_calls")
    if not given and not request.prompt:
        raise InvalidInput("a turn needs a prompt, or answers to calls", code="nothing_asked")
    return {call: _answer(one) for call, one in request.answers.items()}


def _answer(answer: ToolAnswer) -> Any:
    return ToolFailed(answer.problem) if answer.problem else as_text(answer.content)
