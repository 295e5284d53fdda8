"""Planning: makes plans with the planner that the agent names; by default from playbooks."""

from orchestrator_services.planner.handlers import service
from orchestrator_services.planner.playbooks import by_playbook

__all__ = ["by_playbook", "service"]
