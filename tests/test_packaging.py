"""The project's files agree with one another, and with the package that is installed."""

import importlib.util
import shutil
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LARGEST_TRACKED_FILE_BYTES = 2**20
# Split, so that this file does not name what it looks for.
FORBIDDEN_WORDS = ("pypi" + ".org", "pythonhosted" + ".org", "download.pytorch" + ".org")


def requirements(*groups: str) -> list[Requirement]:
    """The project's own requirement lines: the base ones, then those of extras."""
    lines = list(PROJECT["project"]["dependencies"])
    for group in groups:
        lines += PROJECT["project"]["optional-dependencies"][group]
    return [r for r in map(Requirement, lines) if r.name != PROJECT["project"]["name"]]


def pins(name: str) -> dict[str, Version]:
    """A constraints file as versions by canonical name."""
    lines = (ROOT / name).read_text("utf-8").splitlines()
    pairs = [line.split("==") for line in lines]
    return {canonicalize_name(package): Version(version) for package, version in pairs}


def tracked_files() -> list[Path]:
    """The files that git knows."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [ROOT / name for name in done.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


@pytest.mark.source
def test_packages_lists_every_package_folder() -> None:
    """A sub-package missing from the list would work in the checkout and not in the wheel."""
    settings = PROJECT["tool"]["setuptools"]
    mapped = {folder: package for package, folder in settings["package-dir"].items()}
    folders = [path.parent for name in mapped for path in (ROOT / name).rglob("__init__.py")]
    found = set()
    for folder in folders:
        top, *inner = folder.relative_to(ROOT).parts
        found.add(".".join([mapped[top], *inner]))

    assert sorted(found) == settings["packages"]


@pytest.mark.source
def test_package_data_lists_every_other_file() -> None:
    """A template missing from the list would be there in the checkout and not in the wheel."""
    listed = PROJECT["tool"]["setuptools"]["package-data"]
    patterns = [f"{name.replace('.', '/')}/{p}" for name, globs in listed.items() for p in globs]
    tracked = [path.relative_to(ROOT) for path in tracked_files()]
    others = [p for p in tracked if p.parts[0] == "edge_ood" and p.suffix != ".py"]

    assert others
    assert [] == [p for p in others if not any(p.match(pattern) for pattern in patterns)]


@pytest.mark.source
@pytest.mark.parametrize("folder", ["edge_ood/cli", "edge_ood/calibration"])
def test_no_folder_shadows_a_mapped_package(folder: str) -> None:
    """A stray folder of that name, even an empty one, would hide the real package."""
    assert not (ROOT / folder).exists()


@pytest.mark.source
@pytest.mark.parametrize("package", ["edge_ood", "edge_ood.cli", "edge_ood.calibration"])
def test_the_checkout_is_what_is_tested(package: str) -> None:
    """The installed package is this checkout, not another one."""
    spec = importlib.util.find_spec(package)

    assert spec is not None
    assert ROOT in Path(str(spec.origin)).parents


def test_the_installed_version_is_the_declared_one() -> None:
    """`edge-ood --version`, the metadata and pyproject.toml speak of one version."""
    assert PROJECT["project"]["version"] == metadata.version("edge-ood")


def test_the_oldest_classifier_is_the_oldest_python() -> None:
    """The classifiers start at `requires-python`."""
    prefix = "Programming Language :: Python :: 3."
    minors = [c.removeprefix(prefix) for c in PROJECT["project"]["classifiers"] if prefix in c]

    assert f">=3.{min(map(int, minors))}" == PROJECT["project"]["requires-python"]


def test_constraints_pin_every_direct_dependency() -> None:
    """Each library of a development install has a pin that its own requirement admits."""
    pinned = pins("constraints.txt")

    for requirement in requirements("cpu", "fit", "parquet", "train", "dev"):
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains(pinned[name]), requirement


def test_constraints_pin_what_the_dependencies_need() -> None:
    """What the pinned libraries require in turn is pinned as well."""
    waiting = requirements("cpu", "parquet", "train", "dev")
    needed = set()
    while waiting:
        requirement = waiting.pop()
        needed.add(canonicalize_name(requirement.name))
        for asked in map(Requirement, metadata.requires(requirement.name) or []):
            extras = requirement.extras or {""}
            applies = any(
                asked.marker is None or asked.marker.evaluate({"extra": e}) for e in extras
            )
            if applies and canonicalize_name(asked.name) not in needed:
                waiting.append(asked)

    assert set() == needed - set(pins("constraints.txt"))


def test_the_zoo_pins_every_library() -> None:
    """Each library of `make zoo` has a pin that its own requirement admits, and one alone."""
    own, shared = pins("tests/zoo/versions.txt"), pins("constraints.txt")

    assert set() == own.keys() & shared.keys()
    for requirement in requirements("zoo"):
        name = canonicalize_name(requirement.name)
        assert requirement.specifier.contains((own | shared)[name]), requirement


def test_oldest_environment_is_the_declared_floor() -> None:
    """The oldest environment that is tested is the oldest that pyproject.toml admits."""
    oldest = pins("tests/environments/oldest.txt")
    floors = {
        requirement.name: Version(bound.version)
        for requirement in requirements("cpu")
        for bound in requirement.specifier
        if bound.operator == ">="
    }

    assert floors == {name: oldest[name] for name in floors}


@pytest.mark.source
def test_tracked_files_are_small() -> None:
    """No artefact, checkpoint or data set slips into the history."""
    large = [p for p in tracked_files() if p.stat().st_size > LARGEST_TRACKED_FILE_BYTES]

    assert [] == large


@pytest.mark.source
def test_tracked_files_end_in_a_line_break() -> None:
    """Text files end in exactly one line break and have no carriage returns."""
    texts = {path: path.read_bytes() for path in tracked_files() if path.stat().st_size}
    wrong = [
        path
        for path, text in texts.items()
        if b"\0" not in text and (not text.endswith(b"\n") or text.endswith(b"\n\n"))
    ]

    assert [] == wrong
    assert [] == [path for path, text in texts.items() if b"\0" not in text and b"\r" in text]


@pytest.mark.source
def test_tracked_files_name_no_package_host() -> None:
    """Where packages come from is the business of the machine, not of the project."""
    for path in tracked_files():
        text = path.read_bytes().decode("utf-8", "replace")
        assert not [word for word in FORBIDDEN_WORDS if word in text], path


@pytest.mark.source
@pytest.mark.skipif(sys.platform == "win32", reason="permissions of a POSIX file system")
def test_the_ci_script_is_executable() -> None:
    """`.ci/run` can be started as it is."""
    assert 0o111 == (ROOT / ".ci" / "run").stat().st_mode & 0o111
