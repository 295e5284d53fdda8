"""Models: what planners, judges and other roles think with."""

from functools import cache

from orchestrator.sdk import ConfigurationError
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
    "model_client",
    "scripted_model",
]


@cache
def model_client() -> ModelClient:
    """The client of this process. The first call takes seconds: it imports the library.

    Raises `ConfigurationError` if the library is not installed.
    """
    try:
        from orchestrator_services.models.client import PydanticModelClient
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("pydantic_ai", "genai_prices"):
            raise
        raise ConfigurationError(
            "agents that ask a model need its client: install kafka-agent-orchestrator[models]"
        ) from error
    return PydanticModelClient()
