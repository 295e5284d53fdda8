"""The safety monitor: reviews plans against rules before any of their steps runs."""

from orchestrator_services.safety_monitor.reviewer import safety
from orchestrator_services.safety_monitor.settings import SafetySettings

__all__ = ["SafetySettings", "safety"]
