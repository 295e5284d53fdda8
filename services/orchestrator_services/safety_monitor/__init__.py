"""The safety monitor: reviews plans against rules before a step of them runs."""

from orchestrator_services.safety_monitor.reviewer import safety
from orchestrator_services.safety_monitor.settings import SafetySettings

__all__ = ["SafetySettings", "safety"]
