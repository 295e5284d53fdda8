"""A Kafka that knows its clients by password, by certificate and by token, each on a listener of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.local.kafka import LocalKafka
from orchestrator.local.ports import PortLeases
from orchestrator.local.security import LISTENER, LocalSecurity
from tests.support.certificates import Authority
from tests.support.identity_provider import AUDIENCE, IdentityProvider

_OAUTH = "org.apache.kafka.common.security.oauthbearer"
STORE_PASSWORD = "of-the-truststore"
_JVM = "JAVA_TOOL_OPTIONS"


@dataclass(frozen=True)
class IdentifiedKafka:
    """`certificates` knows clients by the whole name in their certificate, `mapped` by its CN, `tokens` by `sub`."""

    security: LocalSecurity
    authority: Authority
    passwords: str
    certificates: str
    mapped: str
    tokens: str

    @property
    def trusted(self) -> dict[str, str]:
        """What every client needs to trust the brokers."""
        return {"ssl.ca.location": str(self.security.certificate)}


@contextmanager
def identified_kafka(folder: Path, identity: IdentityProvider) -> Iterator[IdentifiedKafka]:
    security, authority = LocalSecurity(folder / "security"), Authority(folder / "authority")
    with PortLeases() as leases:
        ports = {name: leases.add() for name in (LISTENER, "CERTIFICATES", "MAPPED", "TOKENS", "CONTROLLER")}
    addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    listeners = {name: f"{name}://{address}" for name, address in addresses.items()}
    properties = {
        "listeners": ",".join(listeners.values()),
        "advertised.listeners": ",".join(where for name, where in listeners.items() if name != "CONTROLLER"),
        "controller.quorum.voters": f"1@{addresses['CONTROLLER']}",
        "listener.security.protocol.map": (
            f"{LISTENER}:SASL_SSL,CONTROLLER:SSL,CERTIFICATES:SSL,MAPPED:SSL,TOKENS:SASL_SSL"
        ),
        **_by_certificate("certificates", authority),
        **_by_certificate("mapped", authority),
        "listener.name.mapped.ssl.principal.mapping.rules": "RULE:^CN=([^,]+),OU=agents$/$1/,DEFAULT",
        "listener.name.tokens.sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.tokens.oauthbearer.sasl.jaas.config": f"{_OAUTH}.OAuthBearerLoginModule required;",
        "listener.name.tokens.oauthbearer.sasl.server.callback.handler.class": (
            f"{_OAUTH}.OAuthBearerValidatorCallbackHandler"
        ),
        "listener.name.tokens.sasl.oauthbearer.jwks.endpoint.url": f"{identity.url}/jwks",
        "listener.name.tokens.sasl.oauthbearer.expected.issuer": identity.url,
        "listener.name.tokens.sasl.oauthbearer.expected.audience": AUDIENCE,
    }
    kafka = LocalKafka(
        folder / "kafka", ports=[ports[LISTENER]], properties=properties, short_lived=True, security=security
    )
    with pytest.MonkeyPatch.context() as patch:
        # Brokers ask only servers that their JVM names.
        patch.setenv(_JVM, f"-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={identity.url}/jwks")
        kafka.prepare()
        with kafka:
            yield IdentifiedKafka(
                security,
                authority,
                passwords=addresses[LISTENER],
                certificates=addresses["CERTIFICATES"],
                mapped=addresses["MAPPED"],
                tokens=addresses["TOKENS"],
            )


def _by_certificate(listener: str, authority: Authority) -> dict[str, str]:
    prefix = f"listener.name.{listener}.ssl"
    return {
        f"{prefix}.client.auth": "required",
        f"{prefix}.truststore.type": "PKCS12",
        f"{prefix}.truststore.location": str(authority.store(STORE_PASSWORD)),
        f"{prefix}.truststore.password": STORE_PASSWORD,
    }
