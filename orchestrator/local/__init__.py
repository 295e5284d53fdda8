"""Servers on this machine: the broker inside the client library, or a real Kafka, registry and Jaeger.

Kafka and the registry need neither Docker nor an installation: Java comes in a wheel, Kafka and Apicurio from Maven.
"""

from orchestrator.local.embedded import EmbeddedCluster
from orchestrator.local.jaeger import LocalJaeger
from orchestrator.local.kafka import LocalKafka
from orchestrator.local.registry import LocalRegistry
from orchestrator.local.security import LocalSecurity
from orchestrator.local.stack import LocalStack, StackAddress

__all__ = [
    "EmbeddedCluster",
    "LocalJaeger",
    "LocalKafka",
    "LocalRegistry",
    "LocalSecurity",
    "LocalStack",
    "StackAddress",
]
