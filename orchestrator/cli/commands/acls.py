"""`orchestrator acls`: compares rights on Kafka with what each component needs, and applies the difference."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli.common import command
from orchestrator.cli.exits import ExitCode
from orchestrator.cli.output import write_line, write_table
from orchestrator.cli.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchestrator.bus.kafka.acls import Right
    from orchestrator.bus.settings import BusSettings
    from orchestrator.operations.acls import AclPlan

app = typer.Typer(help="Rights on Kafka of services and users.", no_args_is_help=True)

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[NAME]...", help="Services, sinks, submitter, client, operator or deployer; all by default."
    ),
]
Principal = Annotated[
    str, typer.Option(metavar="TEMPLATE", help="Principals; {name} and {prefix} are filled in.")
]
Module = Annotated[
    list[str] | None,
    typer.Option(metavar="MODULE", help="A module or file with services of your own; repeatable."),
]


@app.command()
@command
def plan(
    shell: Shell,
    names: Names = None,
    principal: Principal = "User:{prefix}{name}",
    module: Module = None,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 if a right differs.")] = False,
) -> None:
    """Shows what each service and user needs, and what applying would change.

    A cluster without an authorizer is an error: nobody needs rights there.
    """
    from orchestrator.operations.acls import require_authorizer

    settings = shell.reached(registry=False).bus
    plans = _plans(shell, settings, names, principal, module)
    shell.show(plans, lambda plans: [_document(each) for each in plans], _write_plans)
    require_authorizer(settings, shell.timeout_s)
    if check and not all(each.in_order for each in plans):
        raise typer.Exit(ExitCode.NOT_DONE)


@app.command()
@command
def apply(
    shell: Shell,
    names: Names = None,
    principal: Principal = "User:{prefix}{name}",
    module: Module = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Take rights that these principals have and do not need.")
    ] = False,
) -> None:
    """Gives each service and user the rights that it needs.

    Idempotent. It creates no users: that is the cluster's matter.
    """
    from orchestrator.operations.acls import apply_acls

    settings = shell.reached(registry=False).bus
    plans = _plans(shell, settings, names, principal, module)
    apply_acls(settings, plans, shell.timeout_s, prune=prune)
    shell.show_done(
        "the principals have the rights that they need",
        plans,
        lambda plans: [_document(each) for each in plans],
        lambda plans: _write_applied(plans, prune=prune),
    )


def _plans(
    shell: Shell, settings: "BusSettings", names: list[str] | None, principal: str, modules: list[str] | None
) -> "tuple[AclPlan, ...]":
    from orchestrator.operations.access import chosen, components, users
    from orchestrator.operations.acls import plan_acls

    plugins = shell.settings(modules=tuple(modules) if modules else None).plugins()
    prefix = settings.topic_prefix
    wanted = chosen({**components(plugins, prefix), **users(prefix)}, names or ())
    return plan_acls(settings, wanted, principal, shell.timeout_s)


def _rows(plan: "AclPlan") -> "Iterator[tuple[Right, str]]":
    """Each right of a principal with its status: given, missing or surplus."""
    for right in plan.wanted:
        yield right, "missing" if right in plan.missing else "given"
    for right in plan.surplus:
        yield right, "surplus"


def _document(plan: "AclPlan") -> dict[str, Any]:
    return {
        "name": plan.name,
        "principal": plan.principal,
        "rights": [
            {
                "operation": right.operation,
                "resource": right.resource,
                "name": right.name,
                "pattern": "prefixed" if right.is_prefix else "literal",
                "status": status,
            }
            for right, status in _rows(plan)
        ],
    }


def _write_plans(plans: "Sequence[AclPlan]") -> None:
    rows = [
        (plan.principal, str(right), "" if status == "given" else status)
        for plan in plans
        for right, status in _rows(plan)
    ]
    write_table(("principal", "right", "to do"), rows)


def _write_applied(plans: "Sequence[AclPlan]", *, prune: bool) -> None:
    for plan in plans:
        for right in plan.missing:
            write_line(f"{plan.principal}: given {right}")
        for right in plan.surplus if prune else ():
            write_line(f"{plan.principal}: taken {right}")
    write_line(f"{len(plans)} principals have the rights that they need")
