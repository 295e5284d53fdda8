"""No secret stands in what is rendered, and a value that is one is refused."""

from pathlib import Path

import pytest
import yaml

from tests.deploy.charts import SHAPES, Helm, named, shape

SECRETS = (
    'kafka.settings={"sasl.password":"hunter2"}',
    'kafka.settings={"ssl.key.password":"hunter2"}',
    'kafka.settings={"ssl.key.pem":"hunter2"}',
    'kafka.settings={"sasl.oauthbearer.client.secret":"hunter2"}',
    'schemaRegistry.settings={"basic.auth.user.info":"me:hunter2"}',
    'schemaRegistry.settings={"bearer.auth.token":"hunter2"}',
    'schemaRegistry.url="http://me:hunter2@registry"',
    'valueStore.url="s3://me:hunter2@bucket"',
)


@pytest.mark.parametrize("setting", SECRETS)
def test_a_secret_among_plain_values_is_refused_and_not_repeated(helm4: Helm, setting: str) -> None:
    said = helm4.mistakes(shape("minimal"), settings=[setting])
    assert "secret" in said.lower()
    assert "hunter2" not in said


@pytest.mark.parametrize("values", SHAPES, ids=named)
def test_secrets_are_named_and_never_made(helm4: Helm, values: Path) -> None:
    objects = helm4.objects(values)
    assert not [one for one in objects if one["kind"] == "Secret"]
    assert "hunter2" not in yaml.safe_dump_all(objects)
