"""Creates the users of a Kafka, or gives them other passwords. Run by compose.secure.yaml.

`USERS` has a line `NAME PASSWORD` for each. The environment has the address and the admin's login too.
"""

import os
import sys
from concurrent.futures import Future

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs do not re-export these
    AdminClient,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialAlteration,
    UserScramCredentialUpsertion,
)

ITERATIONS = 4_096
"""Of SCRAM: what brokers ask for at least. The passwords are random, so more would protect nothing."""
TIMEOUT_S = 60.0


def main() -> None:
    admin = AdminClient(
        {
            "bootstrap.servers": os.environ["BOOTSTRAP_SERVERS"],
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": "admin",
            "sasl.password": os.environ["ADMIN_PASSWORD"],
        }
    )
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS)
    wanted: list[UserScramCredentialAlteration] = [
        UserScramCredentialUpsertion(name, info, password.encode())
        for name, password in (line.split() for line in os.environ["USERS"].splitlines())
    ]
    created: dict[str, Future[None]] = admin.alter_user_scram_credentials(wanted)
    for name, done in created.items():
        try:
            done.result(TIMEOUT_S)
        except (KafkaException, TimeoutError) as error:
            sys.exit(f"the user {name} could not be created: {error}")
        sys.stdout.write(f"user {name} has its password\n")


if __name__ == "__main__":
    main()
