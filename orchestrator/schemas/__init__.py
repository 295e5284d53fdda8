"""Schemas in a registry: `apply` registers those of this version, `check` tells what differs.

Run when a version is deployed; services only look their ids up.
"""

from orchestrator.schemas.apply import Applied, Outcome, apply
from orchestrator.schemas.check import Finding, check

__all__ = ["Applied", "Finding", "Outcome", "apply", "check"]
