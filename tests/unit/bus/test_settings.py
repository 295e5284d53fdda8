"""Settings of a cluster: which are refused, and that secrets are never shown."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from orchestrator.bus.settings import BusSettings, passed_through


def test_settings_never_show_what_is_passed_through() -> None:
    settings = BusSettings(
        kafka={"sasl.password": SecretStr("hunter2")},
        schema_registry={"basic.auth.user.info": SecretStr("user:hunter2")},
    )
    assert "hunter2" not in repr(settings) + str(settings.model_dump_json())
    assert settings.kafka_config()["sasl.password"] == "hunter2"
    assert settings.registry_config()["basic.auth.user.info"] == "user:hunter2"


def test_an_environment_names_a_clients_settings_in_its_own_words() -> None:
    environment = {"ORCHESTRATOR_KAFKA_SASL_MECHANISM": "PLAIN", "ORCHESTRATOR_TOPIC_PREFIX": "x"}
    assert passed_through(environment, "ORCHESTRATOR_KAFKA_") == {"sasl.mechanism": "PLAIN"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"topic_prefix": "a b"}, "letters, digits, dots"),
        ({"schema_registry_url": "localhost:8081"}, "a URL such as"),
        ({"schema_registry_url": "http://user:hunter2@host"}, "leave credentials out"),
        ({"schema_registry": {"url": "http://x"}}, "set schema_registry_url"),
        ({"schema_registry": {"timeout": "soon"}}, "timeout must be a number"),
        ({"kafka": {"bootstrap.servers": "x"}}, "set bootstrap_servers"),
        ({"partitions": 0}, "greater than or equal to 1"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says) as refused:
        BusSettings(**wrong)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("group.id", "each service has its own"),
        ("partitioner", "all services place sessions by murmur2_random"),
    ],
)
def test_what_the_platform_relies_on_cannot_be_set(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        BusSettings(kafka={name: SecretStr("x")})
