"""No rendered object contains a secret, and a value that is a secret is refused."""

from pathlib import Path

import pytest

from tests.deploy.charts import SHAPES, Helm, named, shape

SECRETS = (
    'kafka.settings={"sasl.password":"hunter2"}',
    'kafka.settings={"ssl.key.password":"hunter2"}',
    'kafka.settings={"ssl.key.pem":"hunter2"}',
    'kafka.settings={"sasl.oauthbearer.client.secret":"hunter2"}',
    'kafka.settings={"sasl.oauthbearer.config":"principal=hunter2"}',
    'kafka.settings={"sasl.oauthbearer.assertion.private.key.pem":"hunter2"}',
    'extraEnv=[{"name":"OPENAI_API_KEY","value":"hunter2"}]',
    'extraEnv=[{"name":"orchestrator_kafka_sasl_password","value":"hunter2"}]',
    'extraEnv=[{"name":"ORCHESTRATOR_SESSIONS_URL","value":"postgresql://me:hunter2@db/sessions"}]',
    'orchestrator.extraEnv=[{"name":"AWS_SECRET_ACCESS_KEY","value":"hunter2"}]',
    'services.planner={"extraEnv":[{"name":"GITHUB_TOKEN","value":"hunter2"}]}',
    'serviceDefaults.extraEnv=[{"name":"ORCHESTRATOR_SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO","value":"me:hunter2"}]',
    'schemaRegistry.settings={"basic.auth.user.info":"me:hunter2"}',
    'schemaRegistry.settings={"bearer.auth.token":"hunter2"}',
    'services.planner={"kafka":{"settings":{"sasl.password":"hunter2"}}}',
    'serviceDefaults.kafka.settings={"sasl.password":"hunter2"}',
    'orchestrator.schemaRegistry={"settings":{"bearer.auth.token":"hunter2"}}',
    'jobs.kafka={"settings":{"ssl.key.password":"hunter2"}}',
    'adminTools.kafka={"settings":{"ssl.key.pem":"hunter2"}}',
    'schemaRegistry.url="http://me:hunter2@registry"',
    'valueStore.url="s3://me:hunter2@bucket"',
    'otlp.endpoint="http://me:hunter2@collector:4317"',
    'otlp.traceUrl="https://me:hunter2@jaeger/trace/{trace_id}"',
)


@pytest.mark.parametrize("setting", SECRETS)
def test_a_secret_among_plain_values_is_refused_and_not_repeated(helm4: Helm, setting: str) -> None:
    said = helm4.mistakes(shape("minimal"), settings=[setting])
    assert "secret" in said.lower()
    assert "hunter2" not in said


@pytest.mark.parametrize("name", ["sasl.Password", "SSL.KEY.PEM"])
def test_a_setting_in_upper_case_is_none(helm4: Helm, name: str) -> None:
    said = helm4.mistakes(shape("minimal"), settings=[f'kafka.settings={{"{name}":"hunter2"}}'])
    assert name in said
    assert "hunter2" not in said


@pytest.mark.parametrize("setting", ["ssl.ca.pem", "ssl.certificate.pem"])
def test_certificates_are_public(helm4: Helm, setting: str) -> None:
    assert helm4.objects(shape("minimal"), settings=[f'kafka.settings={{"{setting}":"-----BEGIN"}}'])


@pytest.mark.parametrize(
    "variable",
    [
        '{"name":"OPENAI_API_KEY","valueFrom":{"secretKeyRef":{"name":"a","key":"b"}}}',
        '{"name":"AWS_WEB_IDENTITY_TOKEN_FILE","value":"/var/run/token"}',
        '{"name":"ORCHESTRATOR_MODELS_OUTPUT_TOKENS","value":"1000"}',
        '{"name":"ORCHESTRATOR_TOOLS_FILES_ROOT","value":"/data"}',
    ],
)
def test_a_variable_that_is_no_secret_or_refers_to_one_is_taken(helm4: Helm, variable: str) -> None:
    assert helm4.objects(shape("minimal"), settings=[f"extraEnv=[{variable}]"])


def test_an_address_may_have_an_at_sign_behind_its_host(helm4: Helm) -> None:
    assert helm4.objects(shape("minimal"), settings=['otlp.traceUrl="https://jaeger/@team/{trace_id}"'])


@pytest.mark.parametrize("values", SHAPES, ids=named)
def test_secrets_are_referenced_and_never_created(helm4: Helm, values: Path) -> None:
    assert not [one for one in helm4.objects(values) if one["kind"] == "Secret"]
