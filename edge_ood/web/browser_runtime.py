"""Where onnxruntime-web comes from: a folder, this user's cache, or npm, which fills the cache."""

import json
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

from edge_ood.errors import DataError, InputError
from edge_ood.files.cache import cache_folder
from edge_ood.files.output import publish
from edge_ood.files.regular import read_regular

__all__ = ["BUILDS", "browser_runtime", "pinned_version"]

_NAME = "onnxruntime-web"
_NPM_S = 300

BUILDS = {
    "wasm": ("ort.wasm.min.js", "ort-wasm-simd-threaded"),
    "webgpu": ("ort.webgpu.min.js", "ort-wasm-simd-threaded.asyncify"),
}
"""Of each build, the script and the name of loader (`.mjs`) and binary (`.wasm`)."""


def pinned_version() -> str:
    """The version that pages are made with."""
    text = resources.files("edge_ood.web").joinpath("package.json").read_text("utf-8")
    return str(json.loads(text)["dependencies"][_NAME])


def browser_runtime(folder: Path | None = None) -> Path:
    """The folder of the package onnxruntime-web, which holds `dist`.

    Args:
        folder: Where somebody has put it: `npm install` leaves it in `node_modules`.

    Raises:
        DataError: If npm cannot fetch it.
        InputError: If the folder is not that package in the pinned version, or there is no npm.
    """
    if folder is not None:
        return _checked(folder)
    kept = cache_folder()
    if kept is None:
        raise InputError(
            f"no folder to keep {_NAME} in", hint="set XDG_CACHE_HOME, or pass --runtime DIR"
        )
    package = kept / "web" / f"{_NAME}-{pinned_version()}"
    if not package.is_dir():
        _fetch(package)
    return _checked(package)


def _fetch(package: Path) -> None:
    """Let npm fetch the package and check its hash; it appears as a whole."""
    npm = shutil.which("npm")
    named = f"{_NAME}@{pinned_version()}"
    if npm is None:
        raise InputError(
            f"{named} is not here, and there is no npm to fetch it",
            hint=f"install npm; or 'npm install {named}' elsewhere and pass --runtime "
            f"node_modules/{_NAME}",
        )
    package.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=package.parent) as folder:
        command = [npm, "install", "--prefix", folder, "--ignore-scripts", "--no-save", named]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_NPM_S)
        except subprocess.TimeoutExpired as error:
            raise DataError(f"npm did not fetch {named} in {_NPM_S} s", hint="try again") from error
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise DataError(
                f"npm cannot fetch {named}: {lines[0] if lines else done.returncode}",
                hint="check the connection; or pass --runtime DIR",
            )
        publish(Path(folder, "node_modules", _NAME), package)


def _checked(package: Path) -> Path:
    """Refuse anything else than the package in the version that pages are tested with."""
    try:
        found = json.loads(read_regular(package / "package.json"))
        is_meant = (found["name"], found["version"]) == (_NAME, pinned_version())
    except (OSError, ValueError, KeyError, TypeError):
        is_meant = False
    missing = [
        name
        for script, stem in BUILDS.values()
        for name in (script, f"{stem}.mjs", f"{stem}.wasm")
        if not (package / "dist" / name).is_file()
    ]
    if is_meant and not missing:
        return package
    what = f"it lacks dist/{missing[0]}" if is_meant else "its package.json says so, or is missing"
    raise InputError(
        f"'{package}' is not {_NAME} {pinned_version()}: {what}",
        hint=f"'npm install {_NAME}@{pinned_version()}' leaves it in node_modules/{_NAME}",
    )
