"""Checkpoints through the S3 protocol: a server on this machine, the driver that a real bucket would get.

Needs s3fs and moto[server], which no extra of the developer's set brings.
"""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.checkpoints.states import META
from wavejax.checkpoints import open_store
from wavejax.checkpoints.bucket import Bucket
from wavejax.checkpoints.errors import BucketError
from wavejax.checkpoints.inspection import find_checkpoints, inspect_step, remove_steps
from wavejax.checkpoints.urls import CACHE

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[None]:
    """A server with an empty bucket `tests`, named by the environment."""
    moto = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    started = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    settings = {
        "AWS_ENDPOINT_URL": "http://{}:{}".format(*started.get_host_and_port()),
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patched:
        for name, value in settings.items():
            patched.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir("tests")
        yield
        s3fs.S3FileSystem.clear_instance_cache()
    started.stop()


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    numbers = itertools.count()

    def move() -> None:
        monkeypatch.setenv(CACHE, str(tmp_path / f"machine{next(numbers)}"))

    move()
    return move


def save(url: str, *steps: int, size: int = 5) -> None:
    with open_store(url, keep_last=2) as store:
        for step in steps:
            store.save(step, {"w": np.full(size, step)}, META)


def restored(url: str, size: int = 5) -> tuple[int, int]:
    with open_store(url) as store:
        found = store.restore({"w": np.zeros(size, np.int64)})
    return found.step, int(found.state["w"][-1])


def test_the_life_of_checkpoints(server: None, elsewhere) -> None:
    url = "s3://tests/run/checkpoints"
    save(url, 1, 2, 3)
    bucket = Bucket(url)
    assert bucket.steps() == (2, 3)
    assert not [name for name in bucket.names() if name.startswith("1/")]
    elsewhere()
    assert restored(url) == (3, 3)
    save(url, 4)
    assert bucket.steps() == (3, 4)
    name = max(
        (name for name in bucket.names() if name.startswith("4/state/") and "/d/" in name), key=bucket.names().get
    )
    data = bytearray(bucket.read(name) or b"")
    data[len(data) // 2] ^= 1
    bucket.write(name, bytes(data))
    elsewhere()
    assert restored(url) == (3, 3)
    directory = find_checkpoints("s3://tests/run")
    assert [inspect_step(directory, step, read_leaves=True).damage is None for step in (3, 4)] == [True, False]
    remove_steps("s3://tests/run", (4,))
    assert bucket.steps() == (3,)
    assert not [name for name in bucket.names() if name.startswith("4/")]
    with pytest.raises(BucketError, match=r"cannot .*s3://absent/run"):
        open_store("s3://absent/run")


_SAVE = """
import sys
import numpy as np
from wavejax.checkpoints import open_store
with open_store(sys.argv[1]) as store:
    for step in (1, 2):
        store.save(step, {"w": np.random.default_rng(step).integers(2**60, size=1_000_000)}, {})
        store.wait()
        print(f"saved {step}", flush=True)
"""


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.3, 0.5])
def test_killed_while_it_uploads(server: None, elsewhere, delay: float) -> None:
    url, size = f"s3://tests/killed{delay}/checkpoints", 1_000_000
    started = subprocess.Popen(
        [sys.executable, "-c", _SAVE, url], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ)
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "saved 1\n"
    bucket = Bucket(url)
    while not any(name.startswith("2/") for name in bucket.names()) and started.poll() is None:
        pass
    time.sleep(delay)
    started.send_signal(signal.SIGKILL)
    started.communicate()
    complete = bucket.steps()
    print(f"killed {delay} s after the upload began: {complete} of {sorted({n.split('/')[0] for n in bucket.names()})}")
    assert complete in ((1,), (1, 2))
    elsewhere()
    step = complete[-1]
    with open_store(url) as store:
        found = store.restore({"w": np.zeros(size, np.int64)})
    assert found.step == step
    np.testing.assert_array_equal(found.state["w"], np.random.default_rng(step).integers(2**60, size=size))
