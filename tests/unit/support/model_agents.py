"""Agents of pydantic-ai that the tests of the model server talk through."""

from collections.abc import AsyncIterable, Iterable
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent, AgentRunResult, RunContext
from pydantic_ai.messages import AgentStreamEvent, PartDeltaEvent, PartStartEvent, TextPart, TextPartDelta
from pydantic_ai.settings import ModelSettings

ONCE = ModelSettings(max_retries=0)
"""A request is sent once: the client of OpenAI sends it three times by itself otherwise."""


class Answer(BaseModel):
    answer: str
    sure: bool


def agent(model: str, **options: Any) -> Agent[None, Any]:
    """Asks a model of the server. Inside `async with` its connections are closed at the end."""
    return Agent(f"openai-chat:{model}", model_settings=ONCE, **options)


async def stream(agent: Agent[None, Any], task: str, events: list[AgentStreamEvent]) -> AgentRunResult[Any]:
    """Runs it with every reply streamed; events are added as they come."""

    async def collect(_: RunContext[None], coming: AsyncIterable[AgentStreamEvent]) -> None:
        async for event in coming:
            events.append(event)  # noqa: PERF401 - those before an error are kept

    return await agent.run(task, event_stream_handler=collect)


def texts(events: Iterable[AgentStreamEvent]) -> list[str]:
    """Text in the pieces in which it came."""
    pieces = []
    for event in events:
        match event:
            case (
                PartStartEvent(part=TextPart(content=text))
                | PartDeltaEvent(delta=TextPartDelta(content_delta=text))
            ):
                pieces.append(text)
            case _:
                pass
    return pieces


def size(path: str) -> int:
    """The size of a file."""
    return len(path)


def lines(path: str) -> int:
    """The number of lines of a file."""
    return 100 + len(path)
