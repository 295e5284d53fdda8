"""Strategies of planners that ask a model: how an agent thinks."""

from orchestrator_services.strategies.plan_execute import plan_execute
from orchestrator_services.strategies.react import react
from orchestrator_services.strategies.reflexion import reflexion
from orchestrator_services.strategies.router import router

__all__ = ["plan_execute", "react", "reflexion", "router"]
