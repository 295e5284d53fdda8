"""What trials run: agents, the processes that do their tasks, and which task is whose."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Final

from tests.chaos import archive, steps, thoughts
from tests.chaos.archived import NAME

_STEPS: Final = ("planner", "tool-selector", "tool-executor", "evaluator", "recovery", "reviewer-chaos")
_DECIDING: Final = ("tool-selector", "evaluator", "recovery")
# Planners and executors alone need the code of agents.
_CODE: Final = ("--module", "tests.chaos.thinking_agent")


@dataclass(frozen=True)
class Workload:
    """One kind of work."""

    module: ModuleType
    """The plug-ins of the services' processes, with the YAML of their agents as AGENTS."""
    members: Mapping[str, Sequence[str]]
    """The arguments of `orchestrator run` by the name of each process."""
    agent_of: Callable[[int], str]
    """The agent of a task, by the task's number."""
    cancelled_every: int = 0
    """One in this many tasks is cancelled while it runs; 0 for none."""

    @property
    def modules(self) -> Sequence[str]:
        assert self.module.__file__ is not None
        return ("--module", str(Path(self.module.__file__)))


STEPS: Final = Workload(
    steps,
    {
        "orchestrator-0": ("orchestrator", "--slot", "0"),
        "orchestrator-1": ("orchestrator", "--slot", "1"),
        "services-0": (*_STEPS, "--slot", "0"),
        "services-1": (*_STEPS, "--slot", "1"),
    },
    steps.agent_of,
    cancelled_every=25,
)
"""Plans of many steps. Two copies of everything; the services of a copy share a process."""

ARCHIVED: Final = replace(
    STEPS,
    members={**STEPS.members, "archive-0": (NAME, "--module", str(Path(archive.__file__)), "--slot", "0")},
)
"""With a sink, which runs in one copy."""

THOUGHTS: Final = Workload(
    thoughts,
    {
        "orchestrator-0": ("orchestrator", "--slot", "0"),
        "orchestrator-1": ("orchestrator", "--slot", "1"),
        "planner-0": ("planner", *_CODE, "--slot", "0"),
        "planner-1": ("planner", *_CODE, "--slot", "1"),
        "executor-0": ("tool-executor", *_CODE, "--slot", "0"),
        "executor-1": ("tool-executor", *_CODE, "--slot", "1"),
        "deciding-0": (*_DECIDING, "--slot", "0"),
    },
    thoughts.agent_of,
)
"""Agents that ask a model, each in its own way. Two copies of whatever is killed."""
