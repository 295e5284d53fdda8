"""Comparing the cluster's topics with the catalogue, and applying the difference."""

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka import topics
from orchestrator.bus.kafka.bus import KafkaBus
from orchestrator.bus.kafka.topics import TopicPlan
from orchestrator.bus.settings import BusSettings


def plan_topics(settings: BusSettings, timeout_s: float) -> tuple[TopicPlan, ...]:
    """How each topic differs from the catalogue. Raises `UnavailableError`."""
    return topics.plan(KafkaBus(settings).admin, settings, Deadline.after(timeout_s))


def apply_topics(settings: BusSettings, timeout_s: float) -> tuple[TopicPlan, ...]:
    """Creates and alters topics; returns the plan that was applied.

    Raises `ConfigurationError` for topics that cannot be altered, before anything changes.
    """
    admin = KafkaBus(settings).admin
    deadline = Deadline.after(timeout_s)
    plans = topics.plan(admin, settings, deadline)
    topics.apply(plans, admin, settings, deadline)
    return plans
