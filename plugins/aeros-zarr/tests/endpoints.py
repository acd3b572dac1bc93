"""Real S3 endpoints on loopback, for tests."""

import hashlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from aeros_zarr import Compression
from aeros_zarr.s3 import S3Repository

BUCKET = "aeros-test"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


@contextmanager
def moto(**env):
    """Run moto's server in a process of its own; yield its URL."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        pytest.skip("moto is not installed: pip install 'moto[s3,server]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(
        words, env=os.environ | env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait(f"http://127.0.0.1:{port}/moto-api/")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def wait(url):
    end = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return


def admit(url):
    """Make a user who may do everything, with keys in this process's environment."""
    import boto3

    options = {"endpoint_url": url, "region_name": "us-east-1"}
    options |= {"aws_access_key_id": "first", "aws_secret_access_key": "first"}
    iam = boto3.client("iam", **options)
    iam.create_user(UserName="aeros")
    everything = [{"Effect": "Allow", "Action": "*", "Resource": "*"}]
    iam.put_user_policy(
        UserName="aeros", PolicyName="all",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": everything}),
    )  # fmt: skip
    key = iam.create_access_key(UserName="aeros")["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def create_bucket(url, keys):
    import boto3

    boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1",
        aws_access_key_id=keys[0], aws_secret_access_key=keys[1],
    ).create_bucket(Bucket=BUCKET)  # fmt: skip


def repository(url, path: Path, **options):
    """The repository of this folder's name on an endpoint."""
    name = hashlib.sha256(str(path).encode()).hexdigest()[:12]
    defaults = {
        "endpoint": url, "bucket": BUCKET, "prefix": f"tests/{name}", "region": "us-east-1",
        "path_style": True, "retries": 3, "timeout": 20.0, "spool": str(path / "spool"),
        "cache": "", "cache_gb": 1.0, "compression": Compression.none, "keep": 2,
    }  # fmt: skip
    return S3Repository(**(defaults | options))
