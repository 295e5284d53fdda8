"""Users of a cluster that logs them in by SCRAM."""

from collections.abc import Iterator, Mapping
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs do not re-export these
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

from orchestrator.bus.deadline import Deadline
from orchestrator.errors import UnavailableError

SCRAM_SHA_512: Final = "SCRAM-SHA-512"
_ITERATIONS: Final = 4_096
"""The fewest that brokers accept. Passwords are random, so more would protect nothing."""


def create_users(
    admin_settings: Mapping[str, str], passwords: Mapping[str, str], deadline: Deadline
) -> Iterator[str]:
    """Creates users with these passwords, or gives them to those that exist; yields the name of each that has its own.

    `admin_settings` are those of librdkafka, for a user that may do it. Raises `UnavailableError` that names the
    first user that could not be created by the deadline.
    """
    admin = AdminClient(dict(admin_settings))
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
    wanted: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(name, info, password.encode()) for name, password in passwords.items()
    ]
    for name, created in admin.alter_user_scram_credentials(wanted).items():
        try:
            created.result(deadline.remaining())
        except (KafkaException, TimeoutError) as error:
            raise UnavailableError(f"the user {name} could not be created: {error}") from error
        yield name
