"""What the built wheel holds."""

import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.source
ROOT = Path(__file__).parents[2]


def test_top_level_is_only_the_package(wheel: Path) -> None:
    """Nothing generic such as `cli` or `tests` lands in site-packages."""
    with zipfile.ZipFile(wheel) as archive:
        folders = {name.partition("/")[0] for name in archive.namelist()}
        top_level = next(n for n in archive.namelist() if n.endswith("/top_level.txt"))
        listed = archive.read(top_level).decode().split()

    assert ["edge_ood"] == listed
    assert {"edge_ood"} == {name for name in folders if not name.endswith(".dist-info")}


def test_every_module_is_shipped(wheel: Path) -> None:
    """The wheel holds each file of the source folders that code reads, and the marker."""
    mapped = {"edge_ood": "edge_ood", "cli": "edge_ood/cli", "calibration": "edge_ood/calibration"}
    expected = {
        f"{target}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, target in mapped.items()
        for pattern in ("*.py", "templates/*", "page/*", "package.json")
        for path in (ROOT / folder).rglob(pattern)
    }

    with zipfile.ZipFile(wheel) as archive:
        shipped = {name for name in archive.namelist() if name.startswith("edge_ood/")}

    assert expected | {"edge_ood/py.typed"} == shipped


def test_the_licence_is_shipped(wheel: Path) -> None:
    """The Apache licence text travels with the package."""
    with zipfile.ZipFile(wheel) as archive:
        licence = next(n for n in archive.namelist() if n.endswith("/licenses/LICENSE"))

        assert (ROOT / "LICENSE").read_bytes() == archive.read(licence)
