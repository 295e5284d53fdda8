"""`orchestrator topics`: compares the cluster's topics with the catalogue, and applies the difference."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.common import command
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.output import write_line, write_table
from orchestrator.cli.shell import Shell

if TYPE_CHECKING:
    from orchestrator.bus.kafka.topics import TopicPlan

app = typer.Typer(help="Topics of this installation.", no_args_is_help=True)


@app.command()
@command
def plan(
    shell: Shell,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a topic differs.")] = False,
) -> None:
    """Shows what applying would change."""
    from orchestrator.operations.documents import topic_document
    from orchestrator.operations.topics import plan_topics

    plans = plan_topics(shell.reached(registry=False).bus, shell.timeout_s)
    shell.show(plans, lambda plans: [topic_document(each) for each in plans], _write_plans)
    if check and not all(each.in_order for each in plans):
        raise typer.Exit(ExitCode.NOT_DONE)


@app.command()
@command
def apply(shell: Shell) -> None:
    """Creates and alters topics.

    Idempotent: running it again changes nothing.
    """
    from orchestrator.operations.documents import topic_document
    from orchestrator.operations.topics import apply_topics

    plans = apply_topics(shell.reached(registry=False).bus, shell.timeout_s)
    shell.show_done(
        "the topics match the catalogue",
        plans,
        lambda plans: [topic_document(each) | {"changed": not each.in_order} for each in plans],
        _write_applied,
    )


def _write_plans(plans: "tuple[TopicPlan, ...]") -> None:
    write_table(
        ("topic", "partitions", "to do"),
        [(each.name, str(each.partitions_now or each.partitions), _to_do(each)) for each in plans],
        folded=("to do",),
    )


def _write_applied(plans: "tuple[TopicPlan, ...]") -> None:
    for each in plans:
        if not each.in_order:
            write_line(f"{each.name}: {'created' if each.missing else 'changed'}")
    write_line(f"{len(plans)} topics match the catalogue")


def _to_do(plan: "TopicPlan") -> str:
    """What applying would do; empty if nothing."""
    if plan.refusal:
        return plan.refusal
    if plan.missing:
        return f"create with {plan.partitions} partitions"
    return ", ".join(f"{change.name}: {change.now} -> {change.wanted}" for change in plan.changes)
