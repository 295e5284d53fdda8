"""Which playbook a task gets."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from orchestrator.sdk import PermanentError
from orchestrator_services.expressions import CostlyExpressionError, ExpressionError
from orchestrator_services.planner.candidates import Candidates, Defined
from orchestrator_services.planner.compilation import CompiledPlaybook


class Playbooks:
    """The playbooks of this process, compiled once each, in a thread of their own.

    The one thread makes a table at a time and swaps it in whole: whoever plans waits for the thread, and the event
    loop for nobody.
    """

    def __init__(self) -> None:
        self._compiled = Candidates()
        self._thread = ThreadPoolExecutor(1, "playbooks")

    async def prepared(self, defined: Defined) -> Candidates:
        """Those of these definitions."""
        compiled = self._compiled
        if compiled.are_of(defined):
            return compiled
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._updated, dict(defined))

    def _updated(self, defined: Defined) -> Candidates:
        # Somebody who asked earlier may have had them compiled meanwhile.
        if not self._compiled.are_of(defined):
            self._compiled = self._compiled.updated(defined)
        return self._compiled


playbooks: Final = Playbooks()
"""Those of this process."""


def named_playbook(wanted: str, compiled: Candidates) -> CompiledPlaybook:
    """The playbook NAME or NAME@VERSION. Raises `PermanentError` if it does not exist or is invalid."""
    name, _, version = wanted.partition("@")
    found = compiled.entries.get(name)
    if found is None:
        raise PermanentError(f"playbook {name} not found; {_listed(compiled)}", code="no_playbook")
    if version and found.definition.version != version:
        raise PermanentError(
            f"playbook {name} has version {found.definition.version}, not {version}", code="no_playbook"
        )
    if found.playbook is None:
        raise PermanentError(f"playbook {name} is invalid: {found.problem}", code="bad_playbook")
    return found.playbook


async def matching_playbook(task: dict[str, Any], compiled: Candidates) -> CompiledPlaybook:
    """The one playbook whose `match` is true for a task.

    Raises `PermanentError` with the code `no_playbook`, or `ambiguous_playbook` if several match: the choice must
    not depend on their names or on when they were defined.
    """
    matches: list[CompiledPlaybook] = []
    broken: list[str] = []
    for found in compiled.of(task):
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
        reason = "; ".join(
            [f"no playbook matches this task; {_listed(compiled)}", *compiled.problems(), *broken]
        )
        raise PermanentError(reason, code="no_playbook")
    return matches[0]


def _listed(compiled: Candidates) -> str:
    if not compiled.entries:
        return "none is defined, apply one with `orchestrator agents apply DIR`"
    labels = (f"{name}@{entry.definition.version}" for name, entry in sorted(compiled.entries.items()))
    return f"defined: {', '.join(labels)}"
