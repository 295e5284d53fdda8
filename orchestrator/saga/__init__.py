"""The saga of a session, pure: no I/O, no clock, no random, no logging. Time and ids arrive in messages."""

from orchestrator.saga.decide import Decision, decide, next_due
from orchestrator.saga.evolve import ENDING, evolve
from orchestrator.saga.inputs import Input, Reply, Submission, TimePassed
from orchestrator.saga.state import STATE_VERSION, Outcome, Phase, Session, StepStatus, Task

__all__ = [
    "ENDING",
    "STATE_VERSION",
    "Decision",
    "Input",
    "Outcome",
    "Phase",
    "Reply",
    "Session",
    "StepStatus",
    "Submission",
    "Task",
    "TimePassed",
    "decide",
    "evolve",
    "next_due",
]
