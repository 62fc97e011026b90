"""A new file is the only file: with it alone the whole suite passes, and the documentation builds.

The copy of a checkout gets files that no one has heard of, under names that come before all others.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.source]
ROOT = Path(__file__).parents[2]
NEWCOMERS = Path(__file__).with_name("newcomers")
FILE = "a_newcomer.py"
PAGES = {"scores": "heads", "synthetic": "synthetic-images"}
"""Pages that are not called like their registry."""

SUITE = (
    *("-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile"),
    "--ignore=tests/environments",  # installs from a package registry
)


def run(copy: Path, *words: object) -> None:
    """Run the copy's own interpreter there; what it printed is the message of a failure."""
    command = [copy / "venv" / "bin" / "python", "-Im", *map(str, words)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    assert 0 == done.returncode, f"{done.stdout[-20_000:]}\n{done.stderr[-5_000:]}"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the checkout in an environment of its own, which borrows installed packages.

    A path file lends it the packages of this environment, but not its editable install.
    """
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():  # not deleted since
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    # Without pip, and so without the setuptools that comes with it, which may be too old.
    subprocess.run([sys.executable, "-Im", "venv", "--without-pip", folder / "venv"], check=True)
    (packages,) = (folder / "venv").glob("lib/python*/site-packages")
    lent = [path for path in sys.path if Path(path).name == packages.name]
    (packages / "lent.pth").write_text("\n".join(lent))
    run(folder, "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "-e", ".")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def with_files(copy: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The copy with a new file in each of some registries, and nothing else."""
    added = [copy / "edge_ood" / registry / FILE for registry in request.param]
    for path in added:
        assert not path.exists()
        shutil.copy(NEWCOMERS / f"{path.parent.name}.py", path)
    yield copy
    for path in added:
        path.unlink()


new_files = pytest.mark.parametrize(
    "with_files",
    [
        ("scores",),
        ("objectives", "models", "recipes", "synthetic", "corruptions", "training/loggers"),
    ],
    indirect=True,
    ids=["head", "others"],
)


@new_files
def test_a_new_file_passes_the_whole_suite(with_files: Path) -> None:
    """No other test, list or page has to be told of it; takes as long as `make test`."""
    run(with_files, "pytest", *SUITE)


@new_files
def test_a_new_file_is_documented(with_files: Path, tmp_path: Path) -> None:
    """The documentation builds without a warning, and its page has it."""
    run(with_files, "sphinx", "-q", "-W", "--keep-going", "-n", "-b", "html", "docs", tmp_path)

    for path in with_files.glob(f"edge_ood/*/{FILE}"):
        registry = path.parent.name
        page = (tmp_path / f"{PAGES.get(registry, registry)}.html").read_text("utf-8")
        assert re.search(r'id="a[-_]newcomer"', page), registry
