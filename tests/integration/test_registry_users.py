"""A registry that knows its users: services only read, and whoever deploys writes. Apicurio itself enforces it."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from orchestrator.app.demo import TRIAGE, prepare
from orchestrator.local import LocalRegistry, StackAddress
from tests.support.identity_provider import Client, IdentityProvider, identity_provider
from tests.support.incident_example import FOLDER
from tests.support.installation import Installation

pytestmark = pytest.mark.integration

PREFIX = "known."
SERVICES = (
    "orchestrator",
    "planner",
    "tool-selector",
    "tool-executor",
    "evaluator",
    "recovery",
    "safety-monitor",
    "cost-tracker",
    "session-recorder",
)
SECRET = "a-secret-that-nobody-shows"
CLIENTS = {
    "services": Client(SECRET, ("sr-readonly",)),
    "deployer": Client("of-the-deployer", ("sr-developer",)),
    "admin": Client("of-the-admin", ("sr-admin",)),
    "nobody": Client("of-nobody"),
    "registry": Client("of-the-registry"),
}


@dataclass
class Known:
    """A registry with users, an installation on it, and who issues its tokens."""

    kafka: str
    registry: LocalRegistry
    identity: IdentityProvider
    folder: Path
    data: Mapping[str, str] = field(default_factory=dict)

    def as_user(self, user: str, secret: str = "", **environment: str) -> Installation:
        login = {"BASIC_AUTH_USER_INFO": f"{user}:{secret or CLIENTS[user].secret}"}
        return self.with_settings(login, **environment)

    def with_token(self, user: str) -> Installation:
        """As a client of the provider: a token instead of a password."""
        login = {
            "BEARER_AUTH_CREDENTIALS_SOURCE": "OAUTHBEARER",
            "BEARER_AUTH_CLIENT_ID": user,
            "BEARER_AUTH_CLIENT_SECRET": CLIENTS[user].secret,
            "BEARER_AUTH_SCOPE": "schemas",
            "BEARER_AUTH_ISSUER_ENDPOINT_URL": f"{self.identity.url}/token",
            "BEARER_AUTH_LOGICAL_CLUSTER": "none",
            "BEARER_AUTH_IDENTITY_POOL_ID": "none",
        }
        return self.with_settings(login)

    def with_settings(self, registry: Mapping[str, str], **environment: str) -> Installation:
        own = {f"ORCHESTRATOR_SCHEMA_REGISTRY_{name}": value for name, value in registry.items()}
        address = StackAddress(self.kafka, self.registry.url)
        return Installation(address, PREFIX, self.folder, {**own, **environment})


@pytest.fixture(scope="module")
def known(kafka_stack: StackAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Known]:
    folder = tmp_path_factory.mktemp("known")
    with identity_provider(CLIENTS) as identity:
        properties = {
            "quarkus.oidc.tenant-enabled": "true",
            "quarkus.oidc.auth-server-url": identity.url,
            "quarkus.oidc.token-path": f"{identity.url}/token",
            "quarkus.oidc.client-id": "registry",
            "quarkus.oidc.credentials.secret": CLIENTS["registry"].secret,
            "quarkus.oidc.roles.role-claim-path": "groups",
            "apicurio.auth.role-based-authorization": "true",
            "apicurio.authn.basic-client-credentials.enabled": "true",
        }
        with LocalRegistry(folder / "registry", properties=properties) as registry:
            known = Known(kafka_stack.bootstrap_servers, registry, identity, folder)
            # An administrator sets the compatibility once; then whoever may write schemas deploys.
            assert known.as_user("admin").run("topics", "apply").returncode == 0
            refused = known.as_user("deployer").run("schemas", "apply")
            assert refused.returncode == 3
            assert (
                "does not allow setting the compatibility FULL_TRANSITIVE to user deployer" in refused.stderr
            )
            _set_compatibility(known)
            for arguments in (("schemas", "apply"), ("agents", "apply", str(FOLDER))):
                done = known.as_user("deployer").run(*arguments)
                assert done.returncode == 0, done.stderr
            yield known


def _set_compatibility(known: Known) -> None:
    token = known.identity.token("admin")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = b'{"compatibility": "FULL_TRANSITIVE"}'
    request = Request(f"{known.registry.url}/config", body, headers, method="PUT")  # noqa: S310 - on loopback
    with urlopen(request, timeout=60) as answer:  # noqa: S310
        assert answer.status == 200


def test_the_example_runs_with_services_that_only_read(known: Known) -> None:
    data = prepare(TRIAGE, known.folder / "data")
    data["ORCHESTRATOR_MODULES"] = str(FOLDER / TRIAGE.plugins)
    services = known.as_user("services", **data)
    with ExitStack() as running:
        for name in SERVICES:
            running.enter_context(services.processes([name]))
        shown = services.json("submit", TRIAGE.goal, "--agent", "triage", "--wait")

    assert shown["phase"] == "completed"
    for name in SERVICES:
        assert SECRET not in services.log(name).read_text()


def test_what_is_there_is_applied_by_who_only_reads(known: Known) -> None:
    """Nothing is written where nothing is missing."""
    services = known.as_user("services")

    assert services.run("schemas", "check").returncode == 0
    assert services.run("schemas", "apply").returncode == 0


def test_who_only_reads_cannot_register(known: Known) -> None:
    services = known.as_user("services", ORCHESTRATOR_TOPIC_PREFIX="other.")

    done = services.run("schemas", "apply")

    assert done.returncode == 3
    first, *_ = done.stderr.splitlines()
    assert first.startswith("Error: other.tasks-agents.commands.SubmitTask: the schema registry at ")
    assert "does not allow registering schemas to user services (HTTP 403)" in first
    assert SECRET not in done.stderr


def test_services_do_not_register_what_is_missing(known: Known) -> None:
    """A service of an installation without schemas says what to run, with any user."""
    absent = known.as_user("services", ORCHESTRATOR_TOPIC_PREFIX="absent.")
    assert absent.run("topics", "apply").returncode == 0

    done = absent.run("run", "planner")

    assert done.returncode == 3
    assert "run `orchestrator schemas apply`" in done.stderr
    admin = known.identity.token("admin")
    request = Request(f"{known.registry.url}/subjects", headers={"Authorization": f"Bearer {admin}"})  # noqa: S310
    with urlopen(request, timeout=60) as answer:  # noqa: S310
        assert b"absent." not in answer.read()


def test_a_user_without_a_role_is_told_what_is_missing(known: Known) -> None:
    done = known.as_user("nobody").run("schemas", "check")

    assert done.returncode == 3
    assert "does not allow reading schemas to user nobody (HTTP 403)" in done.stderr


def test_a_wrong_password_and_none_are_told_apart(known: Known) -> None:
    wrong = known.as_user("services", secret="guessed").run("schemas", "check")
    none = known.with_settings({}).run("schemas", "check")

    assert wrong.returncode == none.returncode == 3
    assert "rejects the credentials of user services (HTTP 401)" in wrong.stderr
    assert "guessed" not in wrong.stderr
    assert "asks who we are: set basic.auth.user.info" in none.stderr


def test_a_token_does_what_a_password_does(known: Known) -> None:
    assert known.with_token("services").run("schemas", "check").returncode == 0

    known.identity.issued.clear()
    done = known.with_token("services").run("schemas", "check", "--topic-prefix", "other.")
    assert done.returncode == 1, done.stderr
    assert "services" in known.identity.issued


def test_secrets_are_not_shown(known: Known) -> None:
    for installation in (known.as_user("services"), known.with_token("services")):
        for arguments in (("config", "show"), ("config", "show", "-o", "json"), ("config", "check")):
            done = installation.run(*arguments)
            assert done.returncode == 0, done.stderr
            assert SECRET not in done.stdout + done.stderr


def test_nobody_writes_without_a_user(known: Known) -> None:
    headers = {"Content-Type": "application/json"}
    body = b'{"schema": "string"}'
    request = Request(f"{known.registry.url}/subjects/x/versions", body, headers)  # noqa: S310 - on loopback
    with pytest.raises(HTTPError) as refused:
        urlopen(request, timeout=60)  # noqa: S310
    with refused.value as error:
        assert error.code == 401
