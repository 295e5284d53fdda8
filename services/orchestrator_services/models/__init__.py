"""Models: what planners, judges and other roles think with."""

from orchestrator_services.models.port import (
    Budget,
    History,
    ModelClient,
    ToolAnswer,
    ToolCall,
    TurnReply,
    TurnRequest,
)

__all__ = [
    "Budget",
    "History",
    "ModelClient",
    "ToolAnswer",
    "ToolCall",
    "TurnReply",
    "TurnRequest",
]
