"""Schemas in a registry: `apply` registers those of this version, `check` reports differences.

Deploying a version runs them; services only look schema ids up.
"""

from orchestrator.schemas.apply import Applied, Outcome, apply
from orchestrator.schemas.check import Finding, check

__all__ = ["Applied", "Finding", "Outcome", "apply", "check"]
