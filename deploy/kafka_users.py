"""Creates the users of a Kafka, or gives them other passwords. Run by compose.secure.yaml.

`USERS` has a line `NAME PASSWORD` for each. The environment has the address and the admin's login too.
"""

import os
import sys

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.users import create_users
from orchestrator.errors import UnavailableError

TIMEOUT_S = 60.0


def main() -> None:
    admin = {
        "bootstrap.servers": os.environ["BOOTSTRAP_SERVERS"],
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "admin",
        "sasl.password": os.environ["ADMIN_PASSWORD"],
    }
    passwords = dict(line.split() for line in os.environ["USERS"].splitlines())
    try:
        for name in create_users(admin, passwords, Deadline.after(TIMEOUT_S)):
            sys.stdout.write(f"user {name} has its password\n")
    except UnavailableError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
