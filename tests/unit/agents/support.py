"""Agents of pydantic-ai with models that are functions, on a platform in memory."""

from collections.abc import Callable, Sequence
from typing import Any

from orchestrator_services.agents import DurableAgent
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    RetryFeedbackPart,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel

from orchestrator.messages import events
from orchestrator.messages.types import Plan
from orchestrator.testing import Harness

Script = Callable[["Seen"], ModelResponse]


class Seen:
    """What a model is asked."""

    def __init__(self, messages: Sequence[ModelMessage], info: AgentInfo) -> None:
        self.messages = messages
        self.instructions = info.instructions or ""
        self.tools = [tool.name for tool in info.function_tools]
        self.output_tool = info.output_tools[0].name if info.output_tools else ""
        self.settings = info.model_settings or {}

    @property
    def turn(self) -> int:
        """How often the model has replied so far."""
        return sum(isinstance(one, ModelResponse) for one in self.messages)

    @property
    def prompts(self) -> list[str]:
        return [str(part.content) for part in self._told(self.messages) if isinstance(part, UserPromptPart)]

    @property
    def new(self) -> list[str]:
        """What it was told since its last reply: answers of tools, and what did not fit."""
        new: list[str] = []
        last = max((at for at, one in enumerate(self.messages) if isinstance(one, ModelResponse)), default=-1)
        for part in self._told(self.messages[last + 1 :]):
            if isinstance(part, ToolReturnPart):
                new.append(part.model_response_str(wrap_if_error=False))
            elif isinstance(part, RetryFeedbackPart):
                new.append(part.model_response())
        return new

    def done(self, **output: Any) -> ModelResponse:
        """The output, as it is asked for."""
        return calls((self.output_tool, output))

    def _told(self, messages: Sequence[ModelMessage]) -> list[Any]:
        return [part for one in messages if isinstance(one, ModelRequest) for part in one.parts]


def model(script: Script) -> FunctionModel:
    return FunctionModel(lambda messages, info: script(Seen(messages, info)))


def says(text: str) -> ModelResponse:
    return ModelResponse(parts=[TextPart(text)])


def calls(*given: tuple[str, dict[str, Any]]) -> ModelResponse:
    return ModelResponse(parts=[ToolCallPart(tool, arguments) for tool, arguments in given])


def plans(harness: Harness) -> list[Plan]:
    return [message.plan for message in harness.produced if isinstance(message, events.PlanAccepted)]


async def outcome(
    durable_agent: DurableAgent, goal: str = "How many?", *documents: str, **fields: Any
) -> tuple[Any, Harness]:
    """The session of one task, after it has settled, and its platform."""
    timeout_s = fields.pop("timeout_s", 10)
    async with Harness(durable_agent, documents=documents, timeout_s=timeout_s) as harness:
        session = await harness.submit(goal, agent=fields.pop("agent", "desk"), **fields)
        return session, harness
