"""A real S3 service on this machine: moto's server, in a process of its own."""

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import boto3

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

START_S = 60.0
REGION: Final = "eu-central-1"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "not-to-be-shown"}
_READY = re.compile(r"Running on (http://127\.0\.0\.1:\d+)")


class S3Server:
    """A running server. `client` inspects it independently of the value store."""

    def __init__(self, process: "subprocess.Popen[str]", endpoint_url: str) -> None:
        self.process = process
        self.endpoint_url = endpoint_url
        self.client: S3Client = boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint_url,
            region_name=REGION,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def bucket(self, name: str) -> str:
        """Creates a bucket; returns its name."""
        self.client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def url(self, bucket: str, prefix: str = "") -> str:
        """The setting that names a bucket of this server."""
        return f"s3://{bucket}/{prefix}?{urlencode({'endpoint_url': self.endpoint_url, 'region': REGION})}"

    def keys(self, bucket: str) -> list[str]:
        return [found["Key"] for found in self.client.list_objects_v2(Bucket=bucket).get("Contents", [])]

    @contextmanager
    def checking_rights(self) -> Iterator[None]:
        """Inside, the server requires a known user with rights, and knows none."""
        self._check_after("0")
        try:
            yield
        finally:
            self._check_after("inf")

    def _check_after(self, requests: str) -> None:
        url = f"{self.endpoint_url}/moto-api/reset-auth"
        with urlopen(Request(url, data=requests.encode(), headers={"Content-Type": "text/plain"})):  # noqa: S310
            pass


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A server on a free port, stopped at the end."""
    program = str(Path(sys.executable).with_name("moto_server"))
    process = subprocess.Popen(
        [program, "-H", "127.0.0.1", "-p", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    timeout = threading.Timer(START_S, process.kill)
    timeout.start()
    try:
        lines: list[str] = []
        ready = None
        while ready is None:
            line = process.stderr.readline()
            assert line, "the server ended: " + "".join(lines)
            lines.append(line)
            ready = _READY.search(line)
        timeout.cancel()
        reading = threading.Thread(target=_discard_output, args=(process,))
        reading.start()
        yield S3Server(process, ready.group(1))
    finally:
        timeout.cancel()
        process.kill()
        process.wait()
    reading.join()


def _discard_output(process: "subprocess.Popen[str]") -> None:
    """A full pipe would block the server."""
    assert process.stderr is not None
    with process.stderr:
        for _ in process.stderr:
            pass
