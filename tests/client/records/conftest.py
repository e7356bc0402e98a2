"""A PostgreSQL server of the tests' own, and what the tests of databases share."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

USER, PASSWORD = "keeper", "hush:of/the@hill"


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server on a loopback port, with one user who may do anything."""

    port: int

    def url(self, database="postgres", user=USER):
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def engine(self, database="postgres"):
        from sqlalchemy import create_engine, make_url

        url = make_url(self.url(database)).set(drivername="postgresql+psycopg", password=PASSWORD)
        return create_engine(url, isolation_level="AUTOCOMMIT")

    def execute(self, *statements, database="postgres"):
        engine = self.engine(database)
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()


def _programs():
    """Find Debian's folder of the server's programs, or another on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl")) or [
        Path(shutil.which(name)) for name in ("pg_ctl",) if shutil.which(name)
    ]
    return found[-1].parent if found else None


@pytest.fixture(scope="session")
def postgres():
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="sb-pg-"))
    data, log, secret = folder / "data", folder / "log", folder / "secret"
    secret.write_text(PASSWORD)
    as_user = []
    if os.getuid() == 0:  # the server refuses to run as root
        for path in (folder, secret):
            shutil.chown(path, "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = f"-h 127.0.0.1 -p {port} -k {folder} -c fsync=off -c shared_buffers=16MB -c max_connections=20"
    run = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, "timeout": 60}
    make = [programs / "initdb", "-D", data, "-U", USER, "--pwfile", secret, "-A", "scram-sha-256", "--no-sync"]
    subprocess.run([*as_user, *make], **run)
    subprocess.run([*as_user, programs / "pg_ctl", "-D", data, "-l", log, "-w", "-o", settings, "start"], **run)
    try:
        yield Server(port)
    finally:
        subprocess.run([*as_user, programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **run)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def secret(monkeypatch):
    """Put the server's password where a site file may name it; give that key."""
    monkeypatch.setenv("RECORDS_PASSWORD", PASSWORD)
    return {"env": "RECORDS_PASSWORD"}
