"""URIs of stored values: `values:sha256/ab/cd/…`, named after the hash of the content, never after a place.

So a store may move, from a folder to a bucket for example, and the URIs in older messages stay valid.
"""

import re
from hashlib import sha256
from typing import Final

from orchestrator.errors import ContractError

_SCHEME: Final = "values:"
_PATH: Final = re.compile(r"sha256/([0-9a-f]{2})/([0-9a-f]{2})/([0-9a-f]{60})")


def path_of_content(content: bytes) -> str:
    """The path of content below a store's root."""
    digest = sha256(content).hexdigest()
    return f"sha256/{digest[:2]}/{digest[2:4]}/{digest[4:]}"


def uri_of(path: str) -> str:
    return _SCHEME + path


def path_of(uri: str) -> str:
    """The path of a URI's content below a store's root. Raises `ContractError` for a URI of another kind."""
    path = uri.removeprefix(_SCHEME)
    if path == uri or not _PATH.fullmatch(path):
        raise ContractError(f"{uri} is not a URI of this value store: its URIs begin with {_SCHEME}sha256/")
    return path


def verified(uri: str, content: bytes) -> bytes:
    """The content, if the URI names it. Raises `ContractError` otherwise."""
    if uri_of(path_of_content(content)) != uri:
        raise ContractError(f"{uri} was altered: its content no longer has that hash")
    return content
