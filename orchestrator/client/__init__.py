"""Submit a task, follow its session, cancel it: what a program outside the platform needs."""

from orchestrator.client.client import Client
from orchestrator.client.errors import (
    TaskCancelledError,
    TaskError,
    TaskEscalatedError,
    TaskFailedError,
    TaskRefusedError,
)
from orchestrator.client.handle import Handle

__all__ = [
    "Client",
    "Handle",
    "TaskCancelledError",
    "TaskError",
    "TaskEscalatedError",
    "TaskFailedError",
    "TaskRefusedError",
]
