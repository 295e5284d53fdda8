"""What passes with time is an error that is retried, and what stays is one of the settings: each says what to do."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from botocore import exceptions

from orchestrator.bus.ports import ValueStore
from orchestrator.bus.values import s3_causes
from orchestrator.bus.values.stores import location_of, value_store
from orchestrator.errors import ConfigurationError, OrchestratorError, UnavailableError
from tests.support.hostile_s3 import HostileS3, hostile_s3
from tests.support.s3_server import CREDENTIALS
from tests.support.stored_values import read

pytestmark = pytest.mark.usefixtures("credentials")

URI: Final = "values:sha256/ab/cd/" + "0" * 60

PASSES: Final = {
    # Credentials that are renewed.
    "400 ExpiredToken": "check the credentials",
    "403 ExpiredTokenException": "check the credentials",
    "403 InvalidAccessKeyId": "check the credentials",
    "403 InvalidClientTokenId": "check the credentials",
    "400 InvalidIdentityToken": "check the credentials",
    "403 InvalidSecurity": "check the credentials",
    "400 InvalidToken": "check the credentials",
    "403 InvalidTokenId": "check the credentials",
    "403 SignatureDoesNotMatch": "check the credentials",
    "400 TokenRefreshRequired": "check the credentials",
    "403 UnrecognizedClientException": "check the credentials",
    # Clocks that are set.
    "400 RequestExpired": "set the clock",
    "403 RequestTimeTooSkewed": "set the clock",
    # Storage in which there is room again.
    "507": "make room",
    "507 XMinioStorageFull": "make room",
    "507 ACodeOfAnotherVendor": "make room",
    "400 XMinioAdminBucketQuotaExceeded": "make room",
    "403 QuotaExceeded": "make room",
    # Values that are restored.
    "403 InvalidObjectState": "restore it",
    # What a further attempt may change.
    "302 Found": "may work later",
    "307 TemporaryRedirect": "may work later",
    "400 BadDigest": "may work later",
    "400 IncompleteBody": "may work later",
    "400 RequestTimeout": "may work later",
    "400 XAmzContentSHA256Mismatch": "may work later",
    "409 ConditionalRequestConflict": "may work later",
    "409 OperationAborted": "may work later",
    "412 PreconditionFailed": "may work later",
    "429": "may work later",
    "500 InternalError": "may work later",
    "502": "may work later",
    "503 ServiceUnavailable": "may work later",
    "503 SlowDown": "may work later",
    # What nobody knows.
    "400 ACodeOfAnotherVendor": "may work later",
    "403 ACodeOfAnotherVendor": "may work later",
}

STAYS: Final = {
    "404 NoSuchBucket": "create it first",
    "401": "s3:PutObject",
    "403": "s3:PutObject",
    "403 AccessDenied": "s3:PutObject",
    "403 AccessDeniedException": "s3:PutObject",
    "403 AllAccessDisabled": "s3:PutObject",
    "400 AuthorizationHeaderMalformed": "the region and the endpoint",
    "400 IllegalLocationConstraintException": "the region and the endpoint",
    "301 PermanentRedirect": "the region and the endpoint",
    "400 InvalidBucketName": "the bucket's name",
    "400 InvalidURI": "the bucket's name",
    "400 KeyTooLongError": "the bucket's name",
    "400 InvalidArgument": "does not support",
    "400 InvalidRequest": "does not support",
    "405": "does not support",
    "405 MethodNotAllowed": "does not support",
    "501": "does not support",
    "501 NotImplemented": "does not support",
    "413": "raise the limit",
    "400 EntityTooLarge": "raise the limit",
}

CREDENTIALS_AWAY: Final[list[Exception]] = [
    exceptions.NoCredentialsError(),
    exceptions.PartialCredentialsError(provider="env", cred_var="x"),
    exceptions.CredentialRetrievalError(provider="iam-role", error_msg="x"),
    exceptions.MetadataRetrievalError(error_msg="x"),
    exceptions.NoAuthTokenError(),
    exceptions.TokenRetrievalError(provider="sso", error_msg="x"),
    exceptions.UnauthorizedSSOTokenError(),
    exceptions.SSOTokenLoadError(error_msg="x"),
    exceptions.LoginRefreshRequired(),
    exceptions.RefreshWithMFAUnsupportedError(),
    exceptions.ProfileNotFound(profile="x"),
    exceptions.ConfigNotFound(path="x"),
    exceptions.ConfigParseError(path="x"),
]

SILENT: Final[list[Exception]] = [
    exceptions.EndpointConnectionError(endpoint_url="x"),
    exceptions.ConnectTimeoutError(endpoint_url="x"),
    exceptions.ProxyConnectionError(proxy_url="x"),
    exceptions.ConnectionClosedError(endpoint_url="x"),
    exceptions.ReadTimeoutError(endpoint_url="x"),
    exceptions.ResponseStreamingError(error="x"),
]

UNNAMED: Final[list[Exception]] = [
    exceptions.IncompleteReadError(actual_bytes=1, expected_bytes=2),
    exceptions.CapacityNotAvailableError(),
    exceptions.BotoCoreError(),
]

SETTINGS: Final[list[Exception]] = [
    exceptions.EndpointResolutionError(msg="x"),
    exceptions.InfiniteLoopConfigError(source_profile="x", visited_profiles="x"),
    exceptions.InvalidDNSNameError(bucket_name="x"),
    exceptions.InvalidDefaultsMode(mode="x", valid_modes="x"),
    exceptions.InvalidEndpointConfigurationError(msg="x"),
    exceptions.InvalidHostLabelError(label="x"),
    exceptions.InvalidIMDSEndpointError(endpoint="x"),
    exceptions.InvalidIMDSEndpointModeError(mode="x", valid_modes="x"),
    exceptions.InvalidProxiesConfigError(),
    exceptions.InvalidRegionError(region_name="x"),
    exceptions.InvalidRetryModeError(provided_retry_mode="x", valid_modes="x"),
    exceptions.InvalidS3AddressingStyleError(s3_addressing_style="x"),
    exceptions.InvalidS3UsEast1RegionalEndpointConfigError(s3_us_east_1_regional_endpoint_config="x"),
    exceptions.InvalidSTSRegionalEndpointsConfigError(sts_regional_endpoints_config="x"),
    exceptions.MissingDependencyException(msg="x"),
    exceptions.NoRegionError(),
    exceptions.ParamValidationError(report="x"),
    exceptions.UnknownCredentialError(name="x"),
    exceptions.UnknownRegionError(region_name="x", error_msg="x"),
    exceptions.UnknownSignatureVersionError(signature_version="x"),
    exceptions.UnsupportedS3ConfigurationError(msg="x"),
    exceptions.UnsupportedSignatureVersionError(signature_version="x"),
]

REPORTED: Final = [
    *((error, UnavailableError, "check the credentials") for error in CREDENTIALS_AWAY),
    *((error, UnavailableError, "check that it runs") for error in SILENT),
    (exceptions.SSLError(endpoint_url="x", error=OSError()), UnavailableError, "certificate"),
    *((error, UnavailableError, "may work later") for error in UNNAMED),
    *((error, ConfigurationError, "the bucket's name") for error in SETTINGS),
]


@pytest.fixture(scope="module")
def refusing() -> Iterator[tuple[ValueStore, HostileS3]]:
    """A store, and its service."""
    with hostile_s3("503") as server:
        yield value_store(server.url), server


@pytest.mark.parametrize(
    ("answer", "kind", "advice"),
    [
        *((answer, UnavailableError, advice) for answer, advice in PASSES.items()),
        *((answer, ConfigurationError, advice) for answer, advice in STAYS.items()),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_refusal_passes_or_stays_and_says_what_to_do(
    answer: str,
    kind: type[OrchestratorError],
    advice: str,
    refusing: tuple[ValueStore, HostileS3],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)
    store, server = refusing
    server.answer = answer
    with pytest.raises(OrchestratorError) as written:
        store.write(b"content")
    with pytest.raises(OrchestratorError) as loaded:
        read(store, URI)
    for raised, action in ((written, "be written to"), (loaded, "be read")):
        assert type(raised.value) is kind
        assert f"the value store s3://values/ at {server.endpoint} cannot {action}: " in str(raised.value)
        assert advice in str(raised.value)
        assert answer.rpartition(" ")[2] in str(raised.value)


@pytest.mark.parametrize(("error", "kind", "advice"), REPORTED, ids=lambda value: type(value).__name__)
def test_an_error_of_the_library_passes_or_stays_and_says_what_to_do(
    error: Exception,
    kind: type[OrchestratorError],
    advice: str,
    refusing: tuple[ValueStore, HostileS3],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("botocore.client.BaseClient._make_api_call", fail)
    with pytest.raises(OrchestratorError, match=advice) as raised:
        refusing[0].write(b"content")
    assert type(raised.value) is kind
    assert type(error).__name__ in str(raised.value)


def test_each_row_is_tried() -> None:
    answered = {answer.rpartition(" ")[2] for answer in (*PASSES, *STAYS)}
    assert s3_causes.CODES.keys() <= answered
    bases = {base.__name__ for error, _, _ in REPORTED for base in type(error).__mro__}
    assert s3_causes.LIBRARY.keys() <= bases


def test_each_class_is_one_of_the_library() -> None:
    for name in s3_causes.LIBRARY:
        assert issubclass(getattr(exceptions, name), exceptions.BotoCoreError)


def test_credentials_that_are_renewed_are_used_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "credentials"
    given_credentials(keys, "the-old-key", monkeypatch)
    with hostile_s3("400 ExpiredToken") as server:
        store = value_store(server.url)
        with pytest.raises(UnavailableError, match="ExpiredToken; check the credentials"):
            store.write(b"content")

        server.answer = "200"
        write_keys(keys, "the-new-key")
        store.write(b"content")

    assert server.keys == ["the-old-key", "the-new-key"]


def test_credentials_that_come_later_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tmp_path / "credentials"
    given_credentials(keys, None, monkeypatch)
    with hostile_s3("200") as server:
        store = value_store(server.url)
        with pytest.raises(UnavailableError, match="NoCredentialsError; check the credentials"):
            store.write(b"content")

        write_keys(keys, "the-first-key")
        store.write(b"content")

    assert server.keys == ["the-first-key"]


def test_a_client_is_kept_as_long_as_its_credentials_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr("botocore.session.get_session", counted(made))
    with hostile_s3("412 PreconditionFailed") as server:
        store = value_store(server.url)
        for _ in range(2):
            with pytest.raises(UnavailableError):
                store.write(b"content")
    assert len(made) == 1


def test_an_endpoint_of_the_environment_that_is_no_url_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    with pytest.raises(ConfigurationError, match=r"\(ValueError\); check the bucket's name, the endpoint"):
        value_store("s3://values").write(b"content")


def test_a_program_for_credentials_that_writes_something_else_may_be_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_credentials(tmp_path / "credentials", None, monkeypatch)
    settings = tmp_path / "config"
    settings.write_text("[default]\ncredential_process = echo nothing\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(settings))
    with pytest.raises(UnavailableError, match="check the credentials"):
        value_store("s3://values").write(b"content")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("endpoint_url=http://minio:99999", "endpoint_url is a URL"),
        ("endpoint_url=http://minio:port", "endpoint_url is a URL"),
        ("endpoint_url=http://min%20io:9000", "endpoint_url is a URL"),
        ("region=eu_central_1", "region is a name"),
        ("region=eu+central", "region is a name"),
    ],
)
def test_malformed_options_are_found_before_anything_connects(options: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        location_of(f"s3://values?{options}")


@pytest.mark.parametrize(
    "options", ["endpoint_url=http://[::1]:9000", "endpoint_url=https://min_io.example", "region="]
)
def test_options_of_every_form_are_taken(options: str) -> None:
    location_of(f"s3://values?{options}")


def given_credentials(file: Path, key: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a file, and no others."""
    for name in CREDENTIALS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    if key is not None:
        write_keys(file, key)


def write_keys(file: Path, key: str) -> None:
    file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")


def counted(made: list[Any]) -> Any:
    from botocore.session import get_session

    def get(*given: Any, **named: Any) -> Any:
        made.append(get_session(*given, **named))
        return made[-1]

    return get
