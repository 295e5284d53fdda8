"""A small identity provider on loopback: it issues tokens to clients that know their secret (OIDC)."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import RSAKey

VALID_S = 3_600
AUDIENCE = "agents"


@dataclass(frozen=True)
class Client:
    """Who may have tokens: its secret, and the roles that its tokens say it has."""

    secret: str
    roles: tuple[str, ...] = ()


class IdentityProvider(ThreadingHTTPServer):
    """Tokens are signed with a key of its own, whose public half it shows."""

    daemon_threads = True

    def __init__(self, clients: Mapping[str, Client]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.clients = clients
        self.key = RSAKey.generate_key(2048, {"kid": "1", "use": "sig", "alg": "RS256"})
        self.issued: list[str] = []
        """The clients that were given a token, in order."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def token(self, client: str) -> str:
        """A token of this client: it says who it is (`sub`) and which roles it has (`groups`)."""
        now = int(time.time())
        self.issued.append(client)
        claims = {
            "iss": self.url,
            "sub": client,
            "aud": AUDIENCE,
            "azp": client,
            "preferred_username": client,
            "groups": list(self.clients[client].roles),
            "scope": "kafka",
            "iat": now,
            "exp": now + VALID_S,
        }
        return jwt.encode({"alg": "RS256", "kid": "1", "typ": "JWT"}, claims, self.key)


@contextmanager
def identity_provider(clients: Mapping[str, Client]) -> Iterator[IdentityProvider]:
    server = IdentityProvider(clients)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: IdentityProvider
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = self.server.url
        match self.path:
            case "/.well-known/openid-configuration":
                self._write(
                    200,
                    {
                        "issuer": url,
                        "token_endpoint": f"{url}/token",
                        "jwks_uri": f"{url}/jwks",
                        "authorization_endpoint": f"{url}/authorize",
                    },
                )
            case "/jwks":
                self._write(200, {"keys": [self.server.key.as_dict(private=False)]})
            case _:
                self._write(404, {})

    def do_POST(self) -> None:
        form = parse_qs(self._body().decode())
        name, secret = self._credentials(form)
        known = self.server.clients.get(name)
        if self.path != "/token" or known is None or known.secret != secret:
            self._write(401, {"error": "invalid_client"})
            return
        token = {"access_token": self.server.token(name), "token_type": "Bearer", "expires_in": VALID_S}
        self._write(200, token)

    def _body(self) -> bytes:
        """Java's client sends it in chunks."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts: list[bytes] = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _credentials(self, form: Mapping[str, list[str]]) -> tuple[str, str]:
        """Clients send them in a header or in the form."""
        kind, _, encoded = self.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            name, _, secret = base64.b64decode(encoded).decode().partition(":")
            return name, secret
        return form.get("client_id", [""])[0], form.get("client_secret", [""])[0]

    def _write(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""
