"""Rights on Kafka: what they are, which ones a cluster has given, and giving and taking them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from confluent_kafka import KafkaError
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs do not re-export these
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ConfigResource,
    ResourcePatternType,
    ResourceType,
)

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.admin_results import result_of
from orchestrator.bus.kafka.errors import translated
from orchestrator.bus.kafka.topics import first_broker
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ConfigurationError

_ANYWHERE: Final = "*"
_AUTHORIZER: Final = "authorizer.class.name"


class Resource(StrEnum):
    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


class Operation(StrEnum):
    """Operations of Kafka. Reading and writing imply describing."""

    READ = "read"
    WRITE = "write"
    CREATE = "create"
    ALTER = "alter"
    ALTER_CONFIGS = "alter-configs"
    DESCRIBE = "describe"
    DESCRIBE_CONFIGS = "describe-configs"


@dataclass(frozen=True, order=True, slots=True)
class Right:
    """One operation on the resource of this full name, or with `is_prefix` on all whose names begin with it."""

    resource: Resource
    name: str
    operation: Operation
    is_prefix: bool = False

    def __str__(self) -> str:
        return f"{self.operation} {self.resource} {self.name}{'*' if self.is_prefix else ''}"


@dataclass(frozen=True, order=True, slots=True)
class Grant:
    """A right that a principal has, such as `User:planner`, from everywhere."""

    principal: str
    right: Right


def granted(
    admin: AdminClient, principals: Iterable[str], settings: BusSettings, deadline: Deadline
) -> frozenset[Grant]:
    """What these principals may do. Entries of other kinds (denials, other hosts) are left out: they are not ours.

    A cluster without an authorizer has given nothing. Raises `ConfigurationError` if we may not ask, and
    `UnavailableError`.
    """
    found: set[Grant] = set()
    for principal in principals:
        wanted = AclBindingFilter(
            ResourceType.ANY,
            None,  # type: ignore[arg-type]  # of any name, which its stubs do not know
            ResourcePatternType.ANY,
            principal,
            None,  # type: ignore[arg-type]  # from any host
            AclOperation.ANY,
            AclPermissionType.ANY,
        )
        future = admin.describe_acls(wanted, request_timeout=deadline.remaining())
        found.update(
            filter(None, map(_grant, result_of(future, "reading rights", settings, deadline, admin)))
        )
    if not found:
        _require_described(admin, settings, deadline)
    return frozenset(found)


def require_authorizer(admin: AdminClient, settings: BusSettings, deadline: Deadline) -> None:
    """Raises `ConfigurationError` for a cluster without an authorizer, which asks nobody for rights.

    Where we may not read the brokers' settings there is one.
    """
    broker = first_broker(admin, settings, deadline)
    resource = ConfigResource(ConfigResource.Type.BROKER, str(broker))
    for future in admin.describe_configs([resource], request_timeout=deadline.remaining()).values():
        try:
            found = result_of(future, "reading rights", settings, deadline, admin)
        except ConfigurationError:
            return
        if _AUTHORIZER in found and not found[_AUTHORIZER].value:
            raise translated(
                KafkaError(KafkaError.SECURITY_DISABLED), "reading rights", settings.bootstrap_servers
            )


def _require_described(admin: AdminClient, settings: BusSettings, deadline: Deadline) -> None:
    """Raises `ConfigurationError` if we may not describe the cluster: librdkafka takes the brokers' refusal to list
    rights for an empty list."""
    future = admin.describe_cluster(include_authorized_operations=True, request_timeout=deadline.remaining())
    ours = result_of(future, "reading rights", settings, deadline, admin).authorized_operations
    if AclOperation.DESCRIBE not in (ours or ()):
        raise ConfigurationError(
            f"reading rights failed: the cluster at {settings.bootstrap_servers} denies it: our user needs the "
            "operations describe, and to give rights alter, on the cluster"
        )


def give(admin: AdminClient, grants: Iterable[Grant], settings: BusSettings, deadline: Deadline) -> None:
    """Gives these rights. Giving one again changes nothing. Raises `ConfigurationError` for a cluster without an
    authorizer."""
    bindings = [AclBinding(*_parts(grant)) for grant in grants]
    if not bindings:
        return
    for future in admin.create_acls(bindings, request_timeout=deadline.remaining()).values():
        result_of(future, "giving rights", settings, deadline, admin)


def take(admin: AdminClient, grants: Iterable[Grant], settings: BusSettings, deadline: Deadline) -> None:
    """Takes these rights away."""
    filters = [AclBindingFilter(*_parts(grant)) for grant in grants]
    if not filters:
        return
    for future in admin.delete_acls(filters, request_timeout=deadline.remaining()).values():
        result_of(future, "taking rights", settings, deadline, admin)


def _named(kind: Any, name: str) -> Any:
    return kind[name.upper().replace("-", "_")]


def _parts(grant: Grant) -> tuple[Any, ...]:
    right = grant.right
    pattern = ResourcePatternType.PREFIXED if right.is_prefix else ResourcePatternType.LITERAL
    return (
        _named(ResourceType, right.resource),
        right.name,
        pattern,
        grant.principal,
        _ANYWHERE,
        _named(AclOperation, right.operation),
        AclPermissionType.ALLOW,
    )


def _grant(binding: AclBinding) -> Grant | None:
    if binding.permission_type is not AclPermissionType.ALLOW or binding.host != _ANYWHERE:
        return None
    try:
        resource = Resource(ResourceType(binding.restype).name.lower().replace("_", "-"))
        operation = Operation(AclOperation(binding.operation).name.lower().replace("_", "-"))
    except ValueError:
        return None
    is_prefix = binding.resource_pattern_type is ResourcePatternType.PREFIXED
    return Grant(binding.principal, Right(resource, binding.name, operation, is_prefix))
