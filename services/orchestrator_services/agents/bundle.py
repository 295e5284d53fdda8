"""`durable`: an agent of pydantic-ai, as a planner with its tools."""

from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from typing import Any

from pydantic_ai import Agent, UsageLimits

from orchestrator.sdk import Bundle, ConfigurationError, Context, Plan, Planner, PlanRequest, Plugin
from orchestrator.sdk.messages import types
from orchestrator_services.agents.checks import problems_of
from orchestrator_services.agents.options import Options
from orchestrator_services.agents.planning import planned
from orchestrator_services.agents.server_tools import sources_of
from orchestrator_services.agents.tools import tools_of
from orchestrator_services.strategies.tools import READ_ON


def durable(
    agent: Agent[Any, Any],
    *,
    deps: Callable[..., Any] | None = None,
    prompt: Callable[[PlanRequest], str] | None = None,
    usage_limits: UsageLimits | None = None,
    at_most_once: Collection[str] = (),
) -> "DurableAgent":
    """Makes an agent of pydantic-ai an agent of the platform, with the name that it has.

    Each request to its model is recorded and counted, and each call of a tool is a step of the session. A module that
    has the result is a plug-in module:

        desk = Agent("openai-chat:gpt-5-mini", name="desk", tools=[lookup])
        durable_desk = durable(desk)

    `deps(context)`, or `deps()`, `async` or not, makes the dependencies of one turn or one run of a tool, in its
    process. `prompt(request)` says what the model is asked first, by default the task's goal with its context.
    `usage_limits` are those of a session. Tools (and toolsets, by id) of `at_most_once` are never run again if they
    may have run.

    What cannot be durable is reported when the plug-ins are loaded: see `DurableAgent.plugins`.
    """
    return DurableAgent(Options(agent, deps, prompt, usage_limits, frozenset(at_most_once)))


class DurableAgent(Bundle):
    """An agent's planner, which brings its profile, and its tools."""

    def __init__(self, options: Options) -> None:
        self._options = options

    def __repr__(self) -> str:
        return f"durable({self._options.name or 'an agent without a name'})"

    def plugins(self) -> Iterable[Plugin]:
        """Raises `ConfigurationError` that lists everything that keeps the agent from being durable."""
        return self._plugins

    # Not when it is made: tools may be added to the agent until the module has been read.
    @cached_property
    def _plugins(self) -> tuple[Plugin, ...]:
        if problems := list(problems_of(self._options)):
            raise ConfigurationError(*problems)
        planner = Planner(self._options.name, self._make, _profile(self._options))
        return (planner, *tools_of(self._options), *sources_of(self._options))

    async def _make(self, request: PlanRequest, context: Context) -> Plan:
        return await planned(self._options, request, context)


def _profile(options: Options) -> types.AgentProfile:
    description, limits = options.agent.description, options.usage_limits
    return types.AgentProfile(
        name=options.name,
        description=description if isinstance(description, str) else "",
        tools=types.ToolPolicy(allow=(options.tool_name("*"), READ_ON)),
        limits=types.Limits(
            tool_calls=limits.tool_calls_limit if limits else None,
            tokens=limits.total_tokens_limit if limits else None,
        ),
    )
