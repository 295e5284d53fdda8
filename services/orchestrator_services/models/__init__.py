"""Models: what planners, judges and other roles think with."""

import asyncio
from functools import cache
from importlib.util import find_spec
from typing import Final

from orchestrator.sdk import ConfigurationError, Context
from orchestrator_services.models.port import (
    Budget,
    History,
    ModelClient,
    ToolAnswer,
    ToolCall,
    TurnReply,
    TurnRequest,
)
from orchestrator_services.models.scripted import Asked, Heard, Says, scripted_model
from orchestrator_services.models.settings import ModelsSettings

__all__ = [
    "Asked",
    "Budget",
    "Heard",
    "History",
    "ModelClient",
    "ModelsSettings",
    "Says",
    "ToolAnswer",
    "ToolCall",
    "TurnReply",
    "TurnRequest",
    "library_loaded",
    "model_client",
    "scripted_model",
]


_LIBRARY: Final = ("pydantic_ai", "genai_prices")


def model_client() -> ModelClient:
    """The client of this process. It imports its library at the first request, in a thread: that takes seconds.

    Raises `ConfigurationError` if the library is not installed.
    """
    _require_library()
    return _CLIENT


async def library_loaded() -> None:
    """Imports the library of the client, in a thread, unless that was done: the event loop goes on meanwhile.

    Whoever decodes a conversation before asking a model waits for it. Raises `ConfigurationError` if the library is
    not installed.
    """
    await _CLIENT.loaded()


class _LazyClient(ModelClient):
    """The client behind `model_client`."""

    async def turn(self, request: TurnRequest, context: Context) -> TurnReply:
        return await (await self.loaded()).turn(request, context)

    async def loaded(self) -> ModelClient:
        return _loaded() if _loaded.cache_info().currsize else await asyncio.to_thread(_loaded)


_CLIENT: Final = _LazyClient()


@cache
def _loaded() -> ModelClient:
    _require_library()
    from orchestrator_services.models.client import PydanticModelClient

    return PydanticModelClient()


@cache
def _require_library() -> None:
    if not all(find_spec(name) for name in _LIBRARY):
        raise ConfigurationError(
            "agents that ask a model need its client: install kafka-agent-orchestrator[models]"
        )
