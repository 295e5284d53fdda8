"""Cost tracking: counts what sessions, agents and tenants use, while they use it."""

from orchestrator_services.cost_tracker.handlers import ledger, service

__all__ = ["ledger", "service"]
