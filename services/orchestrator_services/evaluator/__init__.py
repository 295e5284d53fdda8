"""Evaluation: judges how far the goal of a task is met."""

from orchestrator_services.evaluator.criteria import by_criteria
from orchestrator_services.evaluator.handlers import service

__all__ = ["by_criteria", "service"]
