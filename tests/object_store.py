"""An S3 server on loopback for tests, and machines that use it: each with a copy of its own.

Servers of one process share their objects: what a test file stores has a folder of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer

BUCKET = "lakes"
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}


@contextmanager
def serving() -> Iterator[str]:
    """The address of a server with an empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    try:
        host, port = server.get_host_and_port()
        address = f"http://{host}:{port}"
        store(address).create_bucket(Bucket=BUCKET)
        yield address
    finally:
        server.stop()


def environment(address: str, cache: Path) -> dict[str, str]:
    """What a machine with this cache is told of the store."""
    return {**KEYS, "AWS_ENDPOINT_URL": address, "SLUICE_CACHE": str(cache)}


def store(address: str) -> Any:
    """A client that writes what a team's own tools would have written."""
    import boto3

    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=address, **keys)


def upload(address: str, folder: Path, prefix: str) -> str:
    """Put a folder's files into the bucket; returns what they are then called together."""
    client = store(address)
    for path in folder.rglob("*"):
        if path.is_file():
            client.upload_file(str(path), BUCKET, f"{prefix}/{path.relative_to(folder).as_posix()}")
    return f"s3://{BUCKET}/{prefix}"


def on_machine(monkeypatch: pytest.MonkeyPatch, address: str, cache: Path) -> None:
    """From here on this process is a machine with that cache."""
    for name, value in environment(address, cache).items():
        monkeypatch.setenv(name, value)
