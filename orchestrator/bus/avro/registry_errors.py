"""What the responses of a registry mean."""

from typing import Final

from confluent_kafka.schema_registry.error import OAuthTokenError, SchemaRegistryError

from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ConfigurationError, OrchestratorError, UnavailableError

READING: Final = "reading schemas"
_LOGIN: Final = "basic.auth.user.info"
_CLIENT: Final = "bearer.auth.client.id"
_NOT_FOUND: Final = 404


def registry_error(error: Exception, settings: BusSettings, doing: str = READING) -> OrchestratorError:
    """A registry client's exception in our hierarchy. Its text is the server's, without credentials. `doing` is what
    the request was for, which takes a right of its own."""
    where = f"the schema registry at {settings.schema_registry_url}"
    match error:
        case SchemaRegistryError(http_status_code=401):
            return ConfigurationError(f"{where} {_unknown(settings)} (HTTP 401)")
        case SchemaRegistryError(http_status_code=403):
            return ConfigurationError(
                f"{where} does not allow {doing} to {_user(settings)} (HTTP 403): give that user the right, or "
                "connect as one that has it; services only read"
            )
        case SchemaRegistryError(http_status_code=int(status)) if status >= 500 or status == 429:
            return UnavailableError(f"{where} is unavailable (HTTP {status})")
        case SchemaRegistryError(http_status_code=404) if not is_missing(error):
            return ConfigurationError(f"{where} does not respond like a schema registry: is the URL right?")
        case SchemaRegistryError():
            return ConfigurationError(
                f"{where} responded: {error.error_message} (HTTP {error.http_status_code})"
            )
        case OAuthTokenError():
            return ConfigurationError(
                f"{where} needs a token, and none was issued (HTTP {error.status_code})"
            )
        case ValueError() | TypeError() | KeyError() | AttributeError():
            return ConfigurationError(f"{where} does not respond like a schema registry: is the URL right?")
        case _:
            return UnavailableError(f"{where} does not respond ({type(error).__name__}): is it running?")


def _unknown(settings: BusSettings) -> str:
    """What is wrong with who we say we are."""
    if not any(name in settings.schema_registry for name in (_LOGIN, _CLIENT, "bearer.auth.token")):
        return f"asks who we are: set {_LOGIN} of schema_registry to user:password"
    return f"rejects the credentials of {_user(settings)}"


def _user(settings: BusSettings) -> str:
    """Who we are to the registry, without the password."""
    for name in (_LOGIN, _CLIENT):
        if name in settings.schema_registry:
            return f"user {settings.schema_registry[name].get_secret_value().partition(':')[0]}"
    return "our user"


def is_missing(error: Exception) -> bool:
    """Whether a registry reports that a subject or schema does not exist. Any other server at that address, which
    lacks such a page, gives no error code of a registry."""
    return (
        isinstance(error, SchemaRegistryError)
        and error.http_status_code == _NOT_FOUND
        and str(error.error_code).startswith(str(_NOT_FOUND))
    )


def is_unknown(error: Exception) -> bool:
    """Whether the page does not exist. Registries without GUIDs lack that of a GUID, too."""
    return isinstance(error, SchemaRegistryError) and error.http_status_code == _NOT_FOUND
