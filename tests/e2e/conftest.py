"""An S3 server for values that are too large for a message."""

from collections.abc import Iterator

import pytest

from tests.support.s3_server import CREDENTIALS, S3Server, s3_server


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    with s3_server() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        yield server
