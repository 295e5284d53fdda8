"""The safety monitor: reviews plans against rules, in CEL or in words, before any of their steps runs."""

from orchestrator_services.safety_monitor.model import by_model
from orchestrator_services.safety_monitor.reviewer import safety
from orchestrator_services.safety_monitor.settings import SafetySettings

__all__ = ["SafetySettings", "by_model", "safety"]
