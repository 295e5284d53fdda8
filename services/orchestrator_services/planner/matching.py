"""Which playbook a task gets."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from orchestrator.sdk import ConfigurationError, PermanentError
from orchestrator.sdk.messages import events
from orchestrator_services.expressions import CostlyExpressionError, ExpressionError
from orchestrator_services.planner.candidates import Candidates
from orchestrator_services.planner.compilation import CompiledPlaybook

Defined = Mapping[str, events.PlaybookDefined]

candidates: Final = Candidates()
"""The playbooks of this process."""


async def prepare(defined: Defined) -> None:
    """Compiles what has been defined since the last time, in a thread: a large playbook takes a second."""
    if not candidates.knows(defined):
        await asyncio.to_thread(candidates.problems, dict(defined))


def named_playbook(wanted: str, defined: Defined) -> CompiledPlaybook:
    """The playbook NAME or NAME@VERSION. Raises `PermanentError` if it does not exist or is invalid."""
    name, _, version = wanted.partition("@")
    found = defined.get(name)
    if found is None:
        raise PermanentError(f"playbook {name} not found; {_listed(defined)}", code="no_playbook")
    if version and found.version != version:
        raise PermanentError(
            f"playbook {name} has version {found.version}, not {version}", code="no_playbook"
        )
    try:
        return candidates.compiled(name, defined)
    except ConfigurationError as error:
        problems = "; ".join(error.problems)
        raise PermanentError(f"playbook {name} is invalid: {problems}", code="bad_playbook") from error


async def matching_playbook(task: dict[str, Any], defined: Defined) -> CompiledPlaybook:
    """The one playbook whose `match` is true for a task.

    Raises `PermanentError` with the code `no_playbook`, or `ambiguous_playbook` if several match: the choice must
    not depend on their names or on when they were defined.
    """
    matches: list[CompiledPlaybook] = []
    broken = candidates.problems(defined)
    for found in candidates.of(task, defined):
        # Each takes a moment at most; together they could take long, and others wait for the loop.
        await asyncio.sleep(0)
        try:
            if found.matches(task):
                matches.append(found)
        except CostlyExpressionError as error:
            broken.append(f"match of {found.playbook.label} was not evaluated: {error}")
        except ExpressionError:
            # The task lacks a key that the expression uses: the playbook is not for this task.
            continue
    if len(matches) > 1:
        labels = ", ".join(found.playbook.label for found in matches)
        raise PermanentError(
            f"several playbooks match this task: {labels}; name one, or make their match expressions narrower",
            code="ambiguous_playbook",
        )
    if not matches:
        reason = "; ".join([f"no playbook matches this task; {_listed(defined)}", *broken])
        raise PermanentError(reason, code="no_playbook")
    return matches[0]


def _listed(defined: Defined) -> str:
    if not defined:
        return "none is defined, apply one with `orchestrator agents apply DIR`"
    return f"defined: {', '.join(f'{name}@{defined[name].version}' for name in sorted(defined))}"
