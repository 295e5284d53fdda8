"""Strategies of planners that ask a model: how an agent thinks."""

from orchestrator_services.strategies.react import react

__all__ = ["react"]
