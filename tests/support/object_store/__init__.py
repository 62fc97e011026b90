"""A bucket on this machine, which speaks S3's protocol."""

import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

__all__ = ["Store", "serving_store"]


class Store:
    """A bucket of moto's server, which speaks S3's own protocol over HTTP."""

    def __init__(self, endpoint: str) -> None:
        boto3 = pytest.importorskip("boto3")
        self.client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")

    def put(self, key: str, payload: bytes) -> None:
        """Make an object, or replace it."""
        self.client.put_object(Bucket="photos", Key=key, Body=payload)

    def names(self) -> list[str]:
        """Names of all objects, without the marks of folders."""
        found = self.client.list_objects_v2(Bucket="photos").get("Contents", [])
        return [each["Key"] for each in found if not each["Key"].endswith("/")]

    def content(self, key: str) -> bytes:
        """Of an object."""
        body = self.client.get_object(Bucket="photos", Key=key)["Body"].read()
        return bytes(body)


@contextmanager
def serving_store(set_variable: Callable[[str, str], None]) -> Iterator[Store]:
    """Credentials and endpoint by the usual variables."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    for name, value in (
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "testing"),
        ("AWS_SECRET_ACCESS_KEY", "testing"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        set_variable(name, value)
    urllib.request.urlopen(f"{endpoint}/moto-api/reset", data=b"").close()  # of earlier tests
    found = Store(endpoint)
    found.client.create_bucket(Bucket="photos")
    try:
        yield found
    finally:
        server.stop()
