"""Commands and events into the services: each is handled, or is dead-lettered within bounds.

A handler that raises what it does not foresee has one dead letter too; the platform's own services foresee everything.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any, Final
from unittest.mock import patch

from orchestrator_services import expression_runs
from orchestrator_services.expressions import CostlyExpressionError, Expression

from orchestrator.bus.values.message_values import MessageValues
from orchestrator.delivery.failed_replies import failed_reply
from orchestrator.errors import ContractError
from orchestrator.messages.base import Command, Event, Message
from orchestrator.messages.call_ids import UNKEYED, CallIds
from orchestrator.messages.catalogue import CATALOGUE, Topic
from orchestrator.messages.types import AgentProfile, ToolDefinition
from orchestrator.sdk import Platform, ServiceContext, discover, parse_documents, playbook_defined
from orchestrator.testing.memory import MemoryDefinitions, MemoryMetrics
from orchestrator.testing.scenario import SESSION
from orchestrator.worker.incoming import Incoming
from orchestrator.worker.middleware import chain
from orchestrator.worker.partition import OwnedPartition
from tests.fuzz.mutators.records import (
    CODEC,
    STATES,
    Case,
    change_record,
    dump_record,
    load_record,
    make_record,
    record_of,
)
from tests.fuzz.target import Target, promise
from tests.fuzz.targets.promises import NOW, dead_lettered, readable

_READ: Final = frozenset(
    {Topic.PLAN_COMMANDS, Topic.EXECUTE_COMMANDS, Topic.EVALUATE_COMMANDS, Topic.SESSIONS, Topic.EVENTS}
)
_NAMES: Final = tuple(entry.name for entry in CATALOGUE if entry.topic in _READ)
# Its handlers start threads and processes; what comes before them is the same in all services.
_ONLY_INTAKE: Final = frozenset({"tool-executor"})
_UNFORESEEN: Final = re.compile(r"(\w+Error|\w+Exception|KeyError)\b.*", re.DOTALL)
_CODES: Final = frozenset(
    {
        "planner_error",
        "evaluator_error",
        "selector_error",
        "handler_error",
        "reviewer_error",
        "recovery_error",
    }
)
_PLAYBOOK: Final = """
playbook: shop
match: task.goal.contains("a")
inputs: {item: {type: string, default: apple}, count: {type: integer, default: 1}}
steps:
  look: {tool: sql.query, arguments: {sql: "${item}", rows: "${count}"}}
  tell: {tool: report.markdown, arguments: {found: {$from: look, at: /rows/0}}}
result: {$from: tell}
"""


@cache
def platform() -> tuple[Platform, asyncio.AbstractEventLoop]:
    """What services get, and the loop that they run in."""
    plugins = discover()
    definitions = MemoryDefinitions()
    for found in parse_documents(_PLAYBOOK).playbooks:
        defined = playbook_defined(found.playbook.playbook, "1", found.source, NOW)
        definitions.playbooks["shop"] = defined
    for name in ("sql.query", "report.markdown"):
        definitions.tools[name] = ToolDefinition(
            name=name, capabilities=(name,), arguments_schema='{"type": "object"}'
        )
    definitions.agents["default"] = AgentProfile(name="default")

    async def emit(_message: Message) -> None:
        pass

    made = Platform(
        plugins=plugins,
        definitions=definitions,
        values=MessageValues(),
        emit=emit,
        now=lambda: NOW,
        metrics=MemoryMetrics(),
        instance="fuzz",
    )
    return made, asyncio.new_event_loop()


@cache
def services() -> tuple[Any, ...]:
    """The services of this installation, with their intake and handlers."""
    plugins: Any = platform()[0].plugins
    found = sorted(plugins.every_service().values(), key=lambda one: str(one.name))
    return tuple((one, chain(one, ())) for one in found)


def check(case: Case) -> None:
    CODEC.use(case)
    keys = CallIds((b"k" * 32,)) if case.state == 0 else UNKEYED
    for service, call in services():
        incoming = Incoming(service, CODEC, keys)
        received = case.received
        if not incoming.handles(received):
            continue
        partition = OwnedPartition((received.topic, received.partition), None)
        work = incoming.to_work(partition, received)
        if work is None:
            continue
        if work.failure is not None:
            dead_lettered(received, work.failure, service.name, work.message)
        elif isinstance(work.message, Command | Event) and service.name not in _ONLY_INTAKE:
            _check_outputs(_outputs(call, work.message, service.name))


def _outputs(call: Any, message: Command | Event, name: str) -> list[Message]:
    made, loop = platform()
    # A process for an expression would cost more than all else.
    with patch.object(expression_runs, "_aside", _not_here):
        return list(loop.run_until_complete(call(message, ServiceContext(name, message, made))))


async def _not_here(_expression: Expression, _variables: Mapping[str, Any]) -> bool:
    raise CostlyExpressionError("it is not evaluated here")


def _check_outputs(outputs: list[Message]) -> None:
    for output in outputs:
        failure = getattr(output, "failure", None)
        if failure is not None and failure.code in _CODES:
            promise(not _UNFORESEEN.fullmatch(failure.message), f"unforeseen: {failure.message}")
        try:
            readable([CODEC.encode(output, source="/fuzz/0")])
        except ContractError as error:
            promise("without its correlation id" in str(error), f"a reply cannot be sent: {error}")
            # Nor can what would come in its place.
            continue
        instead: Any = failed_reply(output, "it is too large", NOW)
        if instead is not None:
            readable([CODEC.encode(instead, source="/fuzz/0")])


def make(random: Random) -> Case:
    if random.random() < 0.1:
        return make_record(random, _NAMES, foreign=0.1)
    given = {
        "correlation_id": SESSION,
        "not_after": NOW + 10**9,
        "planner": "playbook",
        "playbook": random.choice(("shop", "shop", "", "unknown")),
        "evaluator": "criteria",
        "settings": random.choice(("{}", "{}", "[]", "1e999")),
        "tool": "sql.query",
        "capability": "",
    }
    return replace(record_of(random.choice(_NAMES), random, **given), state=random.randrange(STATES))


TARGETS: Final = (
    Target(
        name="workers",
        modules=(
            "orchestrator.worker.incoming",
            "orchestrator.delivery.dead_letters",
            "orchestrator.delivery.originals",
            "orchestrator.delivery.failed_replies",
            "orchestrator.messages.values",
            "orchestrator_services.cost_tracker.handlers",
            "orchestrator_services.cost_tracker.totals",
            "orchestrator_services.evaluator.criteria",
            "orchestrator_services.evaluator.handlers",
            "orchestrator_services.planner.handlers",
            "orchestrator_services.planner.playbooks",
            "orchestrator_services.planner.matching",
            "orchestrator_services.recovery.handlers",
            "orchestrator_services.recovery.strategy",
            "orchestrator_services.safety_monitor.reviewer",
            "orchestrator_services.safety_monitor.rules",
            "orchestrator_services.tool_selector.handlers",
            "orchestrator_services.tool_selector.strategy",
        ),
        make=make,
        change=change_record,
        dump=dump_record,
        load=load_record,
        check=check,
        inputs=900,
        reaches=0.54,
        suffix="json",
    ),
)
