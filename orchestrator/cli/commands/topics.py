"""`orchestrator topics`: what the catalogue wants, and what the cluster has."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import command
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.output import write_json, write_line, write_table
from orchestrator.cli.shell import Shell

if TYPE_CHECKING:
    from orchestrator.bus.kafka.topics import TopicPlan
    from orchestrator.bus.settings import BusSettings

app = typer.Typer(help="Topics of this installation.", no_args_is_help=True)


@app.command()
@command
def plan(
    shell: Shell,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if anything is to be done.")] = False,
) -> None:
    """Shows what applying would change."""
    from orchestrator.bus.deadline import Deadline
    from orchestrator.bus.kafka import topics
    from orchestrator.bus.kafka.bus import KafkaBus

    settings = shell.reached(registry=False).bus
    plans = topics.plan(KafkaBus(settings).admin, settings, Deadline.after(shell.timeout_s))
    if shell.writes_json:
        write_json([_document(each) for each in plans])
    else:
        write_table(
            ("topic", "partitions", "to do"),
            [(each.name, str(each.partitions_now or each.partitions), to_do(each)) for each in plans],
            folded=("to do",),
        )
    if check and not all(each.in_order for each in plans):
        raise typer.Exit(ExitCode.NOT_DONE)


@app.command()
@command
def apply(shell: Shell) -> None:
    """Creates and alters what differs.

    Doing it again changes nothing.
    """
    plans = apply_topics(shell.reached(registry=False).bus, shell.timeout_s)
    if shell.writes_json:
        write_json([_document(each) | {"changed": not each.in_order} for each in plans])
        return
    for each in plans:
        if not each.in_order:
            write_line(f"{each.name}: {'created' if each.missing else 'changed'}")
    write_line(f"{len(plans)} topics are in order")


def apply_topics(settings: "BusSettings", timeout_s: float) -> "tuple[TopicPlan, ...]":
    """Brings all topics in order and returns what was planned. Raises `ConfigurationError` for what cannot be."""
    from orchestrator.bus.deadline import Deadline
    from orchestrator.bus.kafka import topics
    from orchestrator.bus.kafka.bus import KafkaBus

    admin = KafkaBus(settings).admin
    deadline = Deadline.after(timeout_s)
    plans = topics.plan(admin, settings, deadline)
    topics.apply(plans, admin, settings, deadline)
    return plans


def to_do(plan: "TopicPlan") -> str:
    """What applying would do, for people; empty for a topic that is in order."""
    if plan.refusal:
        return plan.refusal
    if plan.missing:
        return f"create with {plan.partitions} partitions"
    return ", ".join(f"{change.name}: {change.now} -> {change.wanted}" for change in plan.changes)


def _document(plan: "TopicPlan") -> dict[str, Any]:
    return {
        "topic": plan.name,
        "partitions": plan.partitions,
        "partitions_now": plan.partitions_now,
        "changes": [{"name": one.name, "now": one.now, "wanted": one.wanted} for one in plan.changes],
        "refusal": plan.refusal,
        "in_order": plan.in_order,
    }
