"""Cost tracking: what sessions, agents and tenants use, as it is used."""

from orchestrator_services.cost_tracker.handlers import ledger, service

__all__ = ["ledger", "service"]
