"""The saga of a session, pure: no I/O, no clock, no random, no logging. Time and ids arrive in messages."""

from orchestrator.saga.decide import Decision, decide, next_due
from orchestrator.saga.endings import ENDING, OUTCOMES, SETTLING, settles
from orchestrator.saga.evolve import evolve
from orchestrator.saga.inputs import Direct, Input, TimePassed, is_direct
from orchestrator.saga.ownership import mismatch
from orchestrator.saga.replies import Reply
from orchestrator.saga.requests import Request, Submission
from orchestrator.saga.state import STATE_VERSION, Outcome, Phase, Session, StepStatus, Task

__all__ = [
    "ENDING",
    "OUTCOMES",
    "SETTLING",
    "STATE_VERSION",
    "Decision",
    "Direct",
    "Input",
    "Outcome",
    "Phase",
    "Reply",
    "Request",
    "Session",
    "StepStatus",
    "Submission",
    "Task",
    "TimePassed",
    "decide",
    "evolve",
    "is_direct",
    "mismatch",
    "next_due",
    "settles",
]
