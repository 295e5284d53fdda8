"""Agents of pydantic-ai as agents of the platform: `durable(agent)`."""

from orchestrator_services.agents.bundle import DurableAgent, durable

__all__ = ["DurableAgent", "durable"]
