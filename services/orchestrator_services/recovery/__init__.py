"""Recovery: decides what follows a failed call. The orchestrator acts on the decision."""

from orchestrator_services.recovery.adviser import adviser
from orchestrator_services.recovery.handlers import service
from orchestrator_services.recovery.settings import RecoverySettings
from orchestrator_services.recovery.strategy import by_class_of_failure

__all__ = ["RecoverySettings", "adviser", "by_class_of_failure", "service"]
