"""`config check` and `config show`."""

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run


def test_valid_settings_are_reported_as_valid(run: Run) -> None:
    assert run("config", "check").out == "the settings are valid\n"
    assert run("config", "check", "-o", "json").document == {"problems": []}


def test_mistakes_of_every_kind_are_reported_together(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.joinpath("orchestrator.toml").write_text('slot = -1\nmodules = ["nowhere_at_all"]\n')
    monkeypatch.setenv("ORCHESTRATOR_SESSIONS_URL", "mysql")

    ended = run("config", "check", "--module", "missing.py", "-o", "json")

    assert ended.code == 3
    problems = ended.error["problems"]
    assert len(problems) == 3
    assert problems[0].startswith("slot (in the file)")
    assert problems[1].startswith("module missing.py cannot be loaded")
    assert problems[2].startswith("ORCHESTRATOR_SESSIONS_URL is not a database URL")


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        (
            "BOOTSTRAP_SERVERS",
            "[::1",
            "bootstrap_servers (from ORCHESTRATOR_BOOTSTRAP_SERVERS): '[::1' is not an",
        ),
        ("BOOTSTRAP_SERVERS", "a\n\x1b[2Jb:1", "bootstrap_servers (from ORCHESTRATOR_BOOTSTRAP_SERVERS): 'a"),
        (
            "BOOTSTRAP_SERVERS",
            "a:1,b:70000",
            "bootstrap_servers (from ORCHESTRATOR_BOOTSTRAP_SERVERS): 'b:70000' is",
        ),
        (
            "SCHEMA_REGISTRY_URL",
            "http://a:70000",
            "schema_registry_url (from ORCHESTRATOR_SCHEMA_REGISTRY_URL): a",
        ),
        ("KAFKA_SOCKET_TIMEOUT_MS", "x", 'Invalid value for configuration property "socket.timeout.ms"'),
        (
            "KAFKA_SECURITY_PROTOCOL",
            "hunter2",
            'Invalid value for configuration property "security.protocol"',
        ),
        ("KAFKA_SOCKET_TIMEOUTS_MS", "1", 'No such configuration property: "socket.timeouts.ms"'),
        ("KAFKA_MAX_POLL_INTERVAL_MS", "2000", "`max.poll.interval.ms`must be >= `session.timeout.ms`"),
        (
            "KAFKA_PARTITIONER",
            "random",
            "kafka (from ORCHESTRATOR_KAFKA_* or in the file): partitioner cannot be set",
        ),
    ],
)
def test_what_a_client_would_reject_is_a_mistake(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(f"ORCHESTRATOR_{variable}", value)

    ended = run("config", "check", "-o", "json")

    assert ended.code == 3
    (found,) = ended.error["problems"]
    assert (
        found.removeprefix("kafka: librdkafka rejects the settings: ")
        .removeprefix("Failed to create consumer: ")
        .startswith(problem)
    )
    assert "hunter2" not in ended.err
    assert "\x1b" not in ended.err


def test_all_that_the_client_rejects_is_named_at_once(run: Run, place: Path) -> None:
    place.joinpath("orchestrator.toml").write_text(
        '[kafka]\n"socket.timeout.ms" = "x"\n"session.timeout.ms" = "0"\n"sasl.mechanism" = "PLAIN"\n'
    )

    problems = "\n".join(run("config", "check", "-o", "json").error["problems"])

    assert problems.count("librdkafka rejects") == 2
    assert '"socket.timeout.ms"' in problems
    assert '"session.timeout.ms" value 0 is outside allowed range' in problems


def test_settings_that_a_client_takes_are_valid(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_BOOTSTRAP_SERVERS", "SSL://a-b.c_d:1, [::1]:9092,10.0.0.1,kafka")
    place.joinpath("orchestrator.toml").write_text(
        '[kafka]\n"security.protocol" = "sasl_plaintext"\n"sasl.mechanisms" = "OAUTHBEARER"\n'
        '"sasl.oauthbearer.method" = "oidc"\n"sasl.oauthbearer.client.id" = "me"\n'
        '"sasl.oauthbearer.client.secret" = "hunter2"\n"socket.timeout.ms" = "3000"\n"debug" = "all"\n'
        '"sasl.oauthbearer.token.endpoint.url" = "http://127.0.0.1:1/token"\n'
    )

    ended = run("config", "check")

    assert (ended.out, ended.err) == ("the settings are valid\n", "")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('[kafka]\n"a" = 1e400', "kafka.a (in the file): Input should be a valid string"),
        (
            '[kafka]\n"socket.timeout.ms" = 5',
            "kafka.socket.timeout.ms (in the file): Input should be a valid string",
        ),
        ('[kafka]\nsasl.mechanism = "PLAIN"', "kafka.sasl (in the file): write a name with dots in quotes"),
        (
            '[schema_registry]\n"timeout" = 5',
            "schema_registry.timeout (in the file): Input should be a valid string",
        ),
        ('[schema_registry]\n"timeout" = "x"', "schema_registry (in the file): timeout must be a number"),
        (
            '[kafka]\n"error_cb" = "x"',
            "kafka (from ORCHESTRATOR_KAFKA_* or in the file): error_cb cannot be set",
        ),
        (
            '[kafka]\n"default.topic.config" = "x"',
            "kafka (from ORCHESTRATOR_KAFKA_* or in the file): default.topic",
        ),
        (
            '[kafka]\n"client.id" = "a\\u0000b"',
            "kafka (from ORCHESTRATOR_KAFKA_* or in the file): client.id has a NUL",
        ),
        ("kafka = 5", "kafka (in the file): it is a table, written as [kafka]"),
        (
            "schema_registry = []",
            "schema_registry (in the file): it is a table, written as [schema_registry]",
        ),
    ],
)
def test_a_problem_of_a_table_names_its_key_and_where_it_is(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch, table: str, problem: str
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_KAFKA_LOG_CONNECTION_CLOSE", "false")
    place.joinpath("orchestrator.toml").write_text(table)

    ended = run("config", "check", "-o", "json")

    (found,) = ended.error["problems"]
    assert found.startswith(problem)


def test_secrets_are_never_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_KAFKA_SASL_PASSWORD", "hunter2")
    monkeypatch.setenv("ORCHESTRATOR_SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO", "me:hunter2")
    monkeypatch.setenv("ORCHESTRATOR_SESSIONS_URL", "postgresql://me:hunter2@db/sessions")

    for output in ("text", "json"):
        shown = run("config", "show", "-o", output).out
        assert "hunter2" not in shown
        assert "sasl.password" in shown
        assert "postgresql://me:***@db/sessions" in shown


def test_the_settings_in_effect_are_shown(run: Run, monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    place.joinpath("other.toml").write_text('topic_prefix = "file."\npartitions = 3\nslot = 5\n')
    monkeypatch.setenv("ORCHESTRATOR_CONFIG", "other.toml")
    monkeypatch.setenv("ORCHESTRATOR_PARTITIONS", "4")

    shown = run("config", "show", "--topic-prefix", "flag.", "-o", "json").document

    assert (shown["topic_prefix"], shown["partitions"], shown["slot"]) == ("flag.", 4, 5)


PLUGIN = """
from pydantic import SecretStr

from orchestrator.sdk import PluginSettings


class StockSettings(PluginSettings, prefix="STOCK"):
    limit: int = 10
    token: SecretStr = SecretStr("")
"""


def test_mistakes_in_the_settings_of_all_plug_ins_are_reported_together(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.joinpath("stock.py").write_text(PLUGIN)
    place.joinpath("rules.yaml").write_text("max_steps: none\n")
    monkeypatch.setenv("ORCHESTRATOR_STOCK_LIMIT", "many")
    monkeypatch.setenv("ORCHESTRATOR_STOCK_TOKENS", "hunter2")
    monkeypatch.setenv("ORCHESTRATOR_TOOLS_SQL_THREADS", "0")
    monkeypatch.setenv("ORCHESTRATOR_TOOL_EXECUTOR_POOL", "GPU")
    monkeypatch.setenv("ORCHESTRATOR_SAFETY_RULES", "rules.yaml")

    ended = run("config", "check", "--module", "stock.py", "-o", "json")

    assert ended.code == 3
    problems = "\n".join(ended.error["problems"])
    assert len(ended.error["problems"]) == 5, problems
    assert "ORCHESTRATOR_STOCK_LIMIT: " in problems
    assert "ORCHESTRATOR_STOCK_TOKENS is not a setting; did you mean ORCHESTRATOR_STOCK_TOKEN?" in problems
    assert "ORCHESTRATOR_TOOLS_SQL_THREADS: " in problems
    assert "ORCHESTRATOR_TOOL_EXECUTOR_POOL: " in problems
    assert "rules.yaml: max_steps: " in problems
    assert "hunter2" not in problems


def test_a_plug_in_may_not_take_a_variable_of_the_platform(run: Run, place: Path) -> None:
    place.joinpath("web.py").write_text(
        PLUGIN.replace("STOCK", "HTTP").replace("limit: int = 10", "port: int = 80")
    )

    ended = run("config", "check", "--module", "web.py", "-o", "json")

    (problem,) = ended.error["problems"]
    assert problem.startswith("ORCHESTRATOR_HTTP_PORT is a variable of the platform")


def test_settings_of_plug_ins_are_shown_and_their_secrets_hidden(
    run: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.joinpath("stock.py").write_text(PLUGIN)
    monkeypatch.setenv("ORCHESTRATOR_MODULES", "stock.py")
    monkeypatch.setenv("ORCHESTRATOR_STOCK_TOKEN", "hunter2")
    monkeypatch.setenv("ORCHESTRATOR_TOOLS_HTTP_ALLOW", "api.example.org, *.example.net:8443")

    shown = run("config", "show", "-o", "json").document

    assert (shown["stock_limit"], shown["recovery_strategy"]) == (10, "default")
    assert shown["tools_http_allow"] == ["api.example.org", "*.example.net:8443"]
    assert "hunter2" not in str(shown)


URLS = {
    "ORCHESTRATOR_VALUES_URL": "s3://bucket/p?endpoint_url=http%3A%2F%2Fme%3Ahunter2%40minio%3A9000&region=x",
    "ORCHESTRATOR_TRACE_URL": "https://jaeger.example/trace/{trace_id}?token=hunter2",
    "ORCHESTRATOR_OTLP_ENDPOINT": "http://me:hunter2@collector:4317",
    "ORCHESTRATOR_BOOTSTRAP_SERVERS": "SASL_SSL://me:hunter2@kafka:9092",
}


@pytest.mark.parametrize("variable", URLS)
@pytest.mark.parametrize("words", [("config", "show"), ("config", "check"), ("topics", "plan")], ids=" ".join)
@pytest.mark.parametrize("output", ["text", "json"])
@pytest.mark.parametrize("level", ["error", "debug"])
def test_a_password_in_a_url_is_never_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, words: tuple[str, ...], output: str, level: str
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv(variable, URLS[variable])

    ended = run(*words, "-o", output, "--log-level", level, "--connect-timeout", "1s")

    assert "hunter2" not in ended.out + ended.err
    if words == ("config", "show") and ended.code == 0:
        assert "***" in ended.out
