"""Virtual environments made from the built wheel, as a user's machine would have them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGED = ("edge_ood", "cli", "calibration", "pyproject.toml", "README.md", "LICENSE")

Program = Callable[..., "subprocess.CompletedProcess[str]"]


def run_pip(*arguments: str) -> None:
    """Run pip in isolation; without a registry the test is skipped, except on CI."""
    command = [sys.executable, "-Im", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and "connection" in done.stderr.lower() and "CI" not in os.environ:
        pytest.skip("no package registry within reach")
    assert 0 == done.returncode, done.stderr


def make_environment(folder: Path, wheel: Path, constraints: Path) -> Program:
    """Install the wheel with its `cpu` extra and nothing else; returns a runner of its programs."""
    subprocess.run([sys.executable, "-Im", "venv", "--without-pip", str(folder)], check=True)
    interpreter = str(folder / "bin" / "python")
    options = ["--quiet", "--retries", "1", "--no-compile", "--only-binary", ":all:"]
    run_pip("--python", interpreter, "install", *options, "-c", str(constraints), f"{wheel}[cpu]")
    home = folder / "home"
    home.mkdir()

    def run(program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [folder / "bin" / program, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            cwd=home,
            env={"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        )

    return run


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a clean copy of its sources."""
    sources, built = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, sources / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, sources)
    run_pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(built), str(sources))
    return next(built.glob("*.whl"))


@pytest.fixture(scope="session")
def torch_free(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Iterator[Program]:
    """A device's environment: `pip install 'edge-ood[cpu]'` at the pinned versions."""
    folder = tmp_path_factory.mktemp("device")
    yield make_environment(folder, wheel, ROOT / "constraints.txt")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def oldest(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Iterator[Program]:
    """The same at the oldest versions that the project admits."""
    if sys.version_info >= (3, 13):
        pytest.skip("numpy 1.26 and onnxruntime 1.17 have no wheels for Python 3.13")
    folder = tmp_path_factory.mktemp("oldest")
    yield make_environment(folder, wheel, Path(__file__).with_name("oldest.txt"))
    shutil.rmtree(folder)
