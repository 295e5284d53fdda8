"""Comparing the rights that a cluster has given with those that an installation needs, and applying the difference."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka import acls
from orchestrator.bus.kafka.acls import Grant, Right
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.settings import BusSettings
from orchestrator.operations.access import principal


@dataclass(frozen=True)
class AclPlan:
    """How the rights of one component differ. `surplus` are those that it has and does not need."""

    name: str
    principal: str
    wanted: tuple[Right, ...]
    missing: tuple[Right, ...] = ()
    surplus: tuple[Right, ...] = ()

    @property
    def in_order(self) -> bool:
        return not (self.missing or self.surplus)


def plan_acls(
    settings: BusSettings, wanted: Mapping[str, tuple[Right, ...]], template: str, timeout_s: float
) -> tuple[AclPlan, ...]:
    """How the rights of each component differ from what the cluster has given its principal, made of the template.

    Components with one principal share its rights. Raises `UnavailableError`.
    """
    principals = {name: principal(template, settings.topic_prefix, name) for name in wanted}
    given = acls.granted(
        KafkaBus(settings).admin, set(principals.values()), settings, Deadline.after(timeout_s)
    )
    needed = {Grant(principals[name], right) for name, rights in wanted.items() for right in rights}
    return tuple(
        AclPlan(
            name=name,
            principal=principals[name],
            wanted=rights,
            missing=tuple(right for right in rights if Grant(principals[name], right) not in given),
            surplus=tuple(sorted(g.right for g in given - needed if g.principal == principals[name])),
        )
        for name, rights in wanted.items()
    )


def require_authorizer(settings: BusSettings, timeout_s: float) -> None:
    """Raises `ConfigurationError` for a cluster that enforces no rights."""
    acls.require_authorizer(KafkaBus(settings).admin, settings, Deadline.after(timeout_s))


def apply_acls(settings: BusSettings, plans: Iterable[AclPlan], timeout_s: float, *, prune: bool) -> None:
    """Gives what is missing and, with `prune`, takes what is not needed. Applying again changes nothing."""
    plans = tuple(plans)
    admin, deadline = KafkaBus(settings).admin, Deadline.after(timeout_s)
    missing = {Grant(plan.principal, right) for plan in plans for right in plan.missing}
    acls.give(admin, sorted(missing), settings, deadline)
    if prune:
        surplus = {Grant(plan.principal, right) for plan in plans for right in plan.surplus}
        acls.take(admin, sorted(surplus), settings, deadline)
