"""One turn of a durable agent: one run of its own, whose tools the platform runs."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from pydantic import ValidationError
from pydantic_ai import Agent, DeferredToolRequests, DeferredToolResults, RunContext, UsageLimits
from pydantic_ai._output import OutputSchema
from pydantic_ai.agent import AgentRunResult
from pydantic_ai.exceptions import (
    AgentRunError,
    FallbackExceptionGroup,
    ModelRetry,
    ToolRetryError,
    UnexpectedModelBehavior,
    UsageLimitExceeded,
    UserError,
)
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, ToolReturnPart
from pydantic_ai.models import Model
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RunUsage
from pydantic_core import to_jsonable_python

from orchestrator.sdk import (
    Context,
    FailureKind,
    HandlerError,
    InvalidInput,
    PermanentError,
    TransientError,
    failure_of,
)
from orchestrator.sdk.messages import replace as replaced
from orchestrator.sdk.messages import types
from orchestrator_services.agents.options import Options
from orchestrator_services.agents.running import in_words
from orchestrator_services.agents.toolsets import Route, deferred, not_supported
from orchestrator_services.models.budget import Wallet
from orchestrator_services.models.candidates import Candidate, candidate, priced, require_price
from orchestrator_services.models.client import Run, answers_in
from orchestrator_services.models.errors import without_secrets
from orchestrator_services.models.metering import Meter, MeteredModel
from orchestrator_services.models.names import SameNames, ToolNames
from orchestrator_services.models.port import TurnReply, TurnRequest
from orchestrator_services.models.request_settings import checked_settings
from orchestrator_services.models.settings import ModelsSettings, settings
from orchestrator_services.models.toolset import PlatformTools

_MISFITS: Final = (ValidationError, ToolRetryError, ModelRetry)
"""Behind the library's error where the agent's own number of retries is used up."""


class Asking:
    """Asks the model of an agent that somebody wrote, and knows where each call of it goes."""

    def __init__(self, options: Options, policy: types.ToolPolicy) -> None:
        self.routes: dict[str, Route] = {}
        """Of the agent's own tools, by the names that the model uses."""
        self.names: ToolNames = SameNames()
        """Of the platform's tools that are offered besides the agent's."""
        self._options = options
        self._policy = policy

    async def turn(self, request: TurnRequest, context: Context) -> TurnReply:
        """As `ModelClient.turn` says; also raises what code of the agent raises, as a `HandlerError`."""
        self.names = ToolNames(tool.name for tool in request.tools)
        deps = await self._options.make_deps(context)
        return await AgentRun.prepared(self, self._options, request, self._policy, deps, context).turn()


@dataclass(frozen=True)
class AgentRun(Run):
    """A turn of an agent that somebody wrote: what it does not say itself is as for other agents."""

    options: Options
    policy: types.ToolPolicy
    deps: Any
    announced: Mapping[str, types.ToolDefinition]
    asking: Asking
    usage: RunUsage
    """Of the session, up to now."""
    bounds: ModelSettings
    """What holds for settings that the agent leaves open."""

    @classmethod
    def prepared(
        cls,
        asking: Asking,
        options: Options,
        request: TurnRequest,
        policy: types.ToolPolicy,
        deps: Any,
        context: Context,
    ) -> "AgentRun":
        """Raises `PermanentError` and `InvalidInput` for what can be seen to be wrong before anything is sent."""
        given = settings()
        candidates = _candidates(options, request.model, context, given)
        if request.budget.cost_micro_usd is not None:
            for one in candidates:
                require_price(one)
        history = () if request.history is None else request.history.decoded

        def named(tool: str) -> str:
            route = asking.routes.get(tool)
            return route.tool if route else asking.names.to_platform(tool)

        return cls(
            request=replace(request, model=replaced(request.model, name=candidates[0].name)),
            history=history,
            answers=answers_in(history, request),
            candidates=candidates,
            names=SameNames(),
            output=None,
            settings=cast(
                ModelSettings,
                checked_settings(request.model.settings, [one.model for one in candidates])
                | {"max_retries": 0},
            ),
            meter=Meter(Wallet.of(request.budget), context, named, streams=given.stream),
            max_requests=given.max_requests,
            options=options,
            policy=policy,
            deps=deps,
            announced=context.definitions.tools,
            asking=asking,
            usage=_used_in(history),
            bounds={"max_tokens": given.max_tokens, "request_timeout": given.request_timeout},
        )

    async def result(self) -> AgentRunResult[Any]:
        agent = _deferring(self.options.agent)
        others = PlatformTools(self.request.tools, self.asking.names, self.max_requests)
        toolsets = [*deferred(self.options, self.policy, self.announced, self.asking.routes), others]
        with agent.override(model=self._model(), tools=[], toolsets=toolsets):
            return await agent.run(
                self.request.prompt or None,
                deps=self.deps,
                instructions=self.request.instructions,
                message_history=self.history,
                deferred_tool_results=DeferredToolResults(calls=self.answers) if self.answers else None,
                model_settings=self._settings,
                usage=copy.copy(self.usage),
                usage_limits=self._limits(),
            )

    def _settings(self, ctx: RunContext[Any]) -> ModelSettings:
        """Settings of one request that go before the agent's own."""
        own = ctx.model_settings or {}
        left_open = {name: value for name, value in self.bounds.items() if name not in own}
        return cast(ModelSettings, {**left_open, **self.settings})

    def _limits(self) -> UsageLimits:
        own = self.options.usage_limits or UsageLimits(request_limit=None)
        most = self.usage.requests + self.max_requests
        return replace(own, request_limit=min(most, own.request_limit or most))

    def _model(self) -> Model:
        models = [MeteredModel(one, self.meter, self.bounds.get("max_tokens", 0)) for one in self.candidates]
        if len(models) == 1:
            return models[0]
        own = self.options.agent.model
        if isinstance(own, FallbackModel) and len(own.models) == len(models):
            fallback = copy.copy(own)
            fallback.models = list(models)
            return fallback
        return FallbackModel(*models)

    def reply(self, result: AgentRunResult[Any]) -> TurnReply:
        if isinstance(result.output, DeferredToolRequests) and result.output.approvals:
            raise not_supported(self.options.name, result.output.approvals[0].tool_name)
        return super().reply(result)

    def unwrapped(self, output: Any) -> Any:
        return to_jsonable_python(output)

    def explained(self, error: Exception, seen: Sequence[ModelMessage]) -> HandlerError:
        name, cause = self.options.name, error.__cause__
        if (
            isinstance(error, UsageLimitExceeded)
            and self.meter.context.used.model_requests < self.max_requests
        ):
            return PermanentError(f"{name} has reached its usage limits: {error}", code="limit_reached")
        if type(error) is UnexpectedModelBehavior and isinstance(cause, _MISFITS):
            problem = in_words(cause) if isinstance(cause, ValidationError) else str(cause)
            text = f"{name}: {error}; the last problem: {problem}"
            return PermanentError(text, code="output_does_not_fit")
        if isinstance(error, UserError):
            return PermanentError(f"{name} cannot run: {error}", code="agent_error")
        if not isinstance(error, HandlerError | AgentRunError | FallbackExceptionGroup):
            return self._of_the_agents_code(error)
        return super().explained(error, seen)

    def _of_the_agents_code(self, error: Exception) -> HandlerError:
        """What dynamic instructions, validators, or a server that is gone raise."""
        failure = failure_of(error, "agent_error")
        text = f"{self.options.name}: {without_secrets(failure.message)}"
        kind = TransientError if failure.kind is FailureKind.TRANSIENT else PermanentError
        return kind(text, code=failure.code)


def _deferring(agent: Agent[Any, Any]) -> Agent[Any, Any]:
    """The agent, whose runs may also end with calls of tools.

    A copy with another output schema: `run(output_type=…)` is not possible for an agent with output validators,
    although the library never passes calls to those.
    """
    copied = copy.copy(agent)
    copied._output_schema = OutputSchema.build([agent.output_type, DeferredToolRequests])  # noqa: SLF001
    return copied


def _candidates(
    options: Options, policy: types.ModelPolicy, context: Context, given: ModelsSettings
) -> list[Candidate]:
    """The models of the profile, if it names one, else the agent's own."""
    if policy.name:
        return [candidate(name, context, given) for name in (policy.name, *policy.fallback)]
    own = options.agent.model
    if own is None:
        raise InvalidInput(
            f"{options.name} has no model: give its Agent one, or add model: PROVIDER:MODEL to its profile",
            code="no_model",
        )
    if isinstance(own, FallbackModel):
        return [priced(one.model_id, one, given) for one in own.models]
    return [candidate(own, context, given) if isinstance(own, str) else priced(own.model_id, own, given)]


def _used_in(history: Sequence[ModelMessage]) -> RunUsage:
    used = RunUsage()
    for message in history:
        if isinstance(message, ModelResponse):
            used.requests += 1
            used.incr(message.usage)
        elif isinstance(message, ModelRequest):
            used.tool_calls += sum(
                isinstance(part, ToolReturnPart) and part.outcome != "retried" for part in message.parts
            )
    return used
