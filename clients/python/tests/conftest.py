"""A fleet of its own for every run of these tests: MEGALITH_BINARY, or build/release/bin/megalith of the repository."""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import pytest

HERE = pathlib.Path(__file__).resolve()
ROOT = HERE.parents[3]
os.environ.setdefault("MEGALITH_LIBRARIES", str(ROOT / "build/release/lib"))
os.environ["JAX_PLATFORMS"] = "cpu"  # JAX makes the programs and the answers to compare with
sys.path.insert(0, str(HERE.parents[1]))


class Fleet:
    """A megalith process."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.binary = os.environ.get("MEGALITH_BINARY", str(ROOT / "build/release/bin/megalith"))
        self.folder = folder
        port_file = folder / "port"
        with open(folder / "out", "wb") as out:
            self.process = subprocess.Popen([self.binary, f"--data_dir={folder / 'data'}", f"--port_file={port_file}",
                                             f"--log_file={folder / 'log'}"], stdout=out, stderr=out,
                                            stdin=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while not (port_file.exists() and port_file.read_text().strip()):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.binary} did not start: {(folder / 'out').read_text()}")
            time.sleep(0.05)
        self.address = port_file.read_text().split()[0]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture(scope="session")
def running():
    with tempfile.TemporaryDirectory() as folder:
        fleet = Fleet(pathlib.Path(folder))
        try:
            yield fleet
        finally:
            fleet.stop()


@pytest.fixture(scope="session")
def installed_plugin(tmp_path_factory):
    """JAX finds plugins by what is installed: a folder that looks like it, for PYTHONPATH."""
    folder = tmp_path_factory.mktemp("installed")
    (folder / "megalith").symlink_to(HERE.parents[1] / "megalith")
    info = folder / "megalith-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: megalith\nVersion: 0\n")
    (info / "entry_points.txt").write_text("[jax_plugins]\nmegalith = megalith.jax_plugin\n")
    return folder


@pytest.fixture
def fleet(running):
    import megalith.client
    with megalith.client.connect(running.address) as client:
        yield client
