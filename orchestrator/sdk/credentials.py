"""What looks like a credential in settings that are published, as those of models are."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_NAME: Final = re.compile(
    r"(?i)(^|[_-])"
    r"(api_?key|(?<!cache_)key|token|secret|password|passwd|credentials?|authorization|auth|bearer)"
    r"($|[_-])"
)
_VALUE: Final = re.compile(r"(?i)^(sk-|bearer\s|basic\s|AIza|AKIA|ASIA|gsk_|hf_|xai-|gh[opsu]_|pplx-)")


def credentials_in(settings: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Names of the settings that look like credentials by their name or their value, as paths with dots."""
    for name, value in settings.items():
        path = f"{prefix}{name}"
        if _NAME.search(name) or (isinstance(value, str) and _VALUE.search(value)):
            yield path
        elif isinstance(value, Mapping):
            yield from credentials_in(value, f"{path}.")
