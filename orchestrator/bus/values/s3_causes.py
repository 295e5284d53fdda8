"""What an error of S3, or of the library that asks it, comes from: whether it passes with time, and what to do.

The codes are those of S3 (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), of STS, which issues a role's
credentials (docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html), of MinIO (`cmd/api-errors.go`) and of
Ceph (`rgw_common.cc`). A response without a body has its status as its code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.errors import ConfigurationError, OrchestratorError, UnavailableError


@dataclass(frozen=True)
class Cause:
    """Where an error comes from."""

    advice: str
    """What to do, as the end of a sentence."""
    passes: bool = True
    """Whether the same call may succeed later with the same settings."""
    is_of_credentials: bool = False
    """Whether credentials that are read again may be others."""

    def error(self, text: str) -> OrchestratorError:
        """The error to raise."""
        kind = UnavailableError if self.passes else ConfigurationError
        return kind(f"{text}; {self.advice}")


UNNAMED: Final = Cause("the same call may work later; if it never does, ask whoever runs the service")
"""What has no row. Most of it passes: overload, conflicts of writers, bodies damaged on their way, redirects while
names are updated. Calls are retried to a bound, so one that stays fails too, but one that passes is not lost."""

_NO_STORAGE: Final = 507

_CREDENTIALS: Final = Cause(
    "check the credentials: renew them where the AWS tools find them here, and they are read again; a process keeps "
    "those of its environment until it is restarted",
    is_of_credentials=True,
)
_CLOCK: Final = Cause("set the clock of this machine: it is too far from the service's")
_FULL: Final = Cause("make room in the storage, or raise the bucket's quota")
_ARCHIVED: Final = Cause(
    "the value is archived: restore it, and keep the bucket's rules from archiving others"
)
_SILENT: Final = Cause("check that it runs, and that this process may connect to it")
_CERTIFICATE: Final = Cause("check the service's certificate, and AWS_CA_BUNDLE")

_NO_BUCKET: Final = Cause("the bucket does not exist, create it first", passes=False)
_RIGHTS: Final = Cause(
    "give the credentials the rights s3:GetObject, s3:PutObject and s3:ListBucket; without the last one a missing "
    "value gives this response too",
    passes=False,
)
_REGION: Final = Cause("the bucket is elsewhere: check the region and the endpoint", passes=False)
_SETTINGS: Final = Cause(
    "check the bucket's name, the endpoint, the region, and what else the AWS tools are told here",
    passes=False,
)
_UNSUPPORTED: Final = Cause(
    "the service does not support what is asked of it: check the endpoint", passes=False
)
_TOO_LARGE: Final = Cause(
    "raise the limit of the service, or of a proxy before it, for the size of an object", passes=False
)

CODES: Final[Mapping[str, Cause]] = {
    # Keys are rotated and tokens run out while processes run: the next ones may be there already.
    "ExpiredToken": _CREDENTIALS,
    "ExpiredTokenException": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "InvalidIdentityToken": _CREDENTIALS,
    "InvalidSecurity": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "InvalidTokenId": _CREDENTIALS,
    # Also what a new key gives with an old secret, and STS with a wrong clock.
    "SignatureDoesNotMatch": _CREDENTIALS,
    "TokenRefreshRequired": _CREDENTIALS,
    "UnrecognizedClientException": _CREDENTIALS,
    "RequestExpired": _CLOCK,
    "RequestTimeTooSkewed": _CLOCK,
    "507": _FULL,
    "QuotaExceeded": _FULL,
    "XMinioAdminBucketQuotaExceeded": _FULL,
    "XMinioStorageFull": _FULL,
    "InvalidObjectState": _ARCHIVED,
    "NoSuchBucket": _NO_BUCKET,
    "401": _RIGHTS,
    "403": _RIGHTS,
    "AccessDenied": _RIGHTS,
    "AccessDeniedException": _RIGHTS,
    "AllAccessDisabled": _RIGHTS,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "PermanentRedirect": _REGION,
    "InvalidBucketName": _SETTINGS,
    "InvalidURI": _SETTINGS,
    "KeyTooLongError": _SETTINGS,
    "405": _UNSUPPORTED,
    "501": _UNSUPPORTED,
    "InvalidArgument": _UNSUPPORTED,
    "InvalidRequest": _UNSUPPORTED,
    "MethodNotAllowed": _UNSUPPORTED,
    "NotImplemented": _UNSUPPORTED,
    "413": _TOO_LARGE,
    "EntityTooLarge": _TOO_LARGE,
}
"""By what the service calls it."""

LIBRARY: Final[Mapping[str, Cause]] = {
    # A metadata service is away, a login has run out, or a file is being replaced.
    "ConfigNotFound": _CREDENTIALS,
    "ConfigParseError": _CREDENTIALS,
    "CredentialRetrievalError": _CREDENTIALS,
    "LoginError": _CREDENTIALS,
    "MetadataRetrievalError": _CREDENTIALS,
    "NoAuthTokenError": _CREDENTIALS,
    "NoCredentialsError": _CREDENTIALS,
    "PartialCredentialsError": _CREDENTIALS,
    "ProfileNotFound": _CREDENTIALS,
    "RefreshWithMFAUnsupportedError": _CREDENTIALS,
    "SSOError": _CREDENTIALS,
    "TokenRetrievalError": _CREDENTIALS,
    "ConnectionError": _SILENT,
    "HTTPClientError": _SILENT,
    "SSLError": _CERTIFICATE,
    "BaseEndpointResolverError": _SETTINGS,
    "EndpointProviderError": _SETTINGS,
    "InvalidConfigError": _SETTINGS,
    "InvalidDNSNameError": _SETTINGS,
    "InvalidDefaultsMode": _SETTINGS,
    "InvalidEndpointConfigurationError": _SETTINGS,
    "InvalidHostLabelError": _SETTINGS,
    "InvalidIMDSEndpointError": _SETTINGS,
    "InvalidIMDSEndpointModeError": _SETTINGS,
    "InvalidProxiesConfigError": _SETTINGS,
    "InvalidRetryConfigurationError": _SETTINGS,
    "InvalidS3AddressingStyleError": _SETTINGS,
    "InvalidS3UsEast1RegionalEndpointConfigError": _SETTINGS,
    "InvalidSTSRegionalEndpointsConfigError": _SETTINGS,
    "MissingDependencyException": _SETTINGS,
    "ParamValidationError": _SETTINGS,
    "UnknownCredentialError": _SETTINGS,
    "UnknownRegionError": _SETTINGS,
    "UnknownSignatureVersionError": _SETTINGS,
    "UnsupportedS3ConfigurationError": _SETTINGS,
    "UnsupportedSignatureVersionError": _SETTINGS,
    "ValidationError": _SETTINGS,
}
"""By the class of a `BotoCoreError`, which may be that of a base: classes are named so that nothing is imported."""


def of_response(code: str, status: int) -> Cause:
    """The cause of a refusal. Codes of full storage are each vendor's own; the status is not."""
    return CODES.get(code) or (_FULL if status == _NO_STORAGE else UNNAMED)


def of_library(error: Exception) -> Cause:
    """The cause of an error of the library."""
    named = (LIBRARY[base.__name__] for base in type(error).__mro__ if base.__name__ in LIBRARY)
    return next(named, UNNAMED)


def of_opening(error: Exception) -> Cause:
    """The cause of what making a client raises besides: a plain `ValueError` for an endpoint that is no URL, others
    for what a program that is asked for credentials writes."""
    return _SETTINGS if type(error) is ValueError else _CREDENTIALS
