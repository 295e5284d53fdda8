"""Clients of an installation: submit a task, follow its session, cancel it."""

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
