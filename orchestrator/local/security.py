"""A local Kafka with users: TLS with a certificate of its own, SASL/SCRAM, and the standard authorizer."""

import secrets
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.users import SCRAM_SHA_512, create_users
from orchestrator.errors import UnavailableError
from orchestrator.local import jars
from orchestrator.local.secret_files import kept_secret

ADMIN: Final = "admin"
"""The user that may do everything: it creates the others."""
MECHANISM: Final = SCRAM_SHA_512

LISTENER: Final = "CLIENT"
_NAME: Final = "kafka"
_STORE: Final = "keystore"
"""Whose password the certificate's store has."""
_MODULE: Final = "org.apache.kafka.common.security.scram.ScramLoginModule"
_KEYTOOL_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class LocalSecurity:
    """Certificate and passwords of a local cluster, in `folder`. They are made at its first start, and stay."""

    folder: Path

    @property
    def certificate(self) -> Path:
        """The cluster's own certificate, which clients trust (PEM)."""
        return self.folder / "ca.pem"

    def prepare(self) -> None:
        """Makes the certificate and the admin's password if they are missing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.password(ADMIN)
        if not self.certificate.exists():
            self._make_certificate()

    def password(self, user: str) -> str:
        """The user's password, made when it is first asked for and kept in a file that only its owner reads."""
        return kept_secret(self.password_file(user), lambda: secrets.token_urlsafe(24))

    def password_file(self, user: str) -> Path:
        return self.folder / f"{user}.password"

    def client_settings(self, user: str) -> dict[str, str]:
        """Settings of librdkafka with which this user connects."""
        return {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": MECHANISM,
            "sasl.username": user,
            "sasl.password": self.password(user),
            "ssl.ca.location": str(self.certificate),
        }

    def environment(self, user: str) -> dict[str, str]:
        """The variables with which a process connects as this user, without its password."""
        return _variables(self.client_settings(user), is_secret=False)

    def secrets(self, user: str) -> dict[str, str]:
        """The variable with the user's password."""
        return _variables(self.client_settings(user), is_secret=True)

    def create_users(self, bootstrap_servers: str, users: Iterable[str], deadline: Deadline) -> None:
        """Creates these users on the cluster, each with its password; those that exist get it again.

        Raises `UnavailableError` if the cluster does not respond by the deadline.
        """
        admin = {"bootstrap.servers": bootstrap_servers, **self.client_settings(ADMIN)}
        for _ in create_users(admin, {user: self.password(user) for user in users}, deadline):
            pass

    def broker_properties(self) -> Mapping[str, str]:
        """What a node adds to its properties: clients and brokers connect as users, controllers by the certificate."""
        jaas = f'{_MODULE} required username="{ADMIN}" password="{self.password(ADMIN)}";'
        store = {
            f"ssl.{name}.{what}": value
            for name in ("keystore", "truststore")
            for what, value in (
                ("location", str(self._store)),
                ("password", self.password(_STORE)),
                ("type", "PKCS12"),
            )
        }
        return {
            **store,
            "listener.security.protocol.map": f"{LISTENER}:SASL_SSL,CONTROLLER:SSL",
            "inter.broker.listener.name": LISTENER,
            "sasl.enabled.mechanisms": MECHANISM,
            "sasl.mechanism.inter.broker.protocol": MECHANISM,
            f"listener.name.{LISTENER.lower()}.{MECHANISM.lower()}.sasl.jaas.config": jaas,
            "listener.name.controller.ssl.client.auth": "required",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:{ADMIN};User:CN={_NAME}",
        }

    def format_options(self) -> list[str]:
        """Options of the storage tool: the admin exists before the first broker starts."""
        return [f"--add-scram={MECHANISM}=[name={ADMIN},password={self.password(ADMIN)}]"]

    @property
    def _store(self) -> Path:
        return self.folder / "kafka.p12"

    def _make_certificate(self) -> None:
        """A key and a certificate for this machine, which is its own authority, by Java's own tool."""
        self._store.unlink(missing_ok=True)
        common = [f"-alias={_NAME}", f"-keystore={self._store}", "-storetype=PKCS12", "-storepass:file"]
        secret = str(self.password_file(_STORE))
        self.password(_STORE)
        made = ("-genkeypair", "-keyalg=EC", "-groupname=secp256r1", f"-dname=CN={_NAME}", "-validity=3650")
        _keytool(*made, "-ext=san=ip:127.0.0.1,dns:localhost", *common, secret)
        _keytool("-exportcert", "-rfc", f"-file={self.certificate}", *common, secret)


def _keytool(*options: str) -> None:
    # Each option is written `-name=value` above and passed as two arguments.
    arguments = [part for option in options for part in option.split("=", 1)]
    command = [str(jars.java().with_name("keytool")), *arguments]
    done = subprocess.run(  # noqa: S603 - our own Java
        command, capture_output=True, text=True, timeout=_KEYTOOL_S, check=False
    )
    if done.returncode:
        raise UnavailableError(f"no certificate could be made: {done.stdout}{done.stderr}")


def _variables(settings: Mapping[str, str], *, is_secret: bool) -> dict[str, str]:
    return {
        f"ORCHESTRATOR_KAFKA_{name.upper().replace('.', '_')}": value
        for name, value in settings.items()
        if (name == "sasl.password") is is_secret
    }
