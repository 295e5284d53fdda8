"""Evaluation: judges how far the goal of a task is met."""

from orchestrator_services.evaluator.criteria import by_criteria
from orchestrator_services.evaluator.handlers import service
from orchestrator_services.evaluator.judge import judge

__all__ = ["by_criteria", "judge", "service"]
