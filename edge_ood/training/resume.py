"""Whether a run directory may be started, continued or replaced; without torch."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge_ood.errors import InputError
from edge_ood.training.energies import ENERGIES_FILE
from edge_ood.training.loggers import LOGGERS
from edge_ood.training.run_directory import PAGE_FILE, SPLITS, Run, RunConfig, read_run

__all__ = [
    "check_same_images",
    "check_same_options",
    "clear_run",
    "environment_notes",
    "find_run",
    "locked_run",
    "prepare_directory",
]

_CONFIG_FILE = "config.json"
_RUN_FILES = (
    _CONFIG_FILE,
    "splits.json",
    "metrics.csv",
    ENERGIES_FILE,
    "model.safetensors",
    "last.ckpt",
    PAGE_FILE,
)


def prepare_directory(path: Path, *, resume: bool, force: bool, start: Path | None = None) -> None:
    """Make the run directory, or refuse it before any long work; an old run stays as it is.

    Raises:
        InputError: If it cannot be written, holds a run and neither `resume` nor `force` is set,
            holds the run to `start` from, or holds anything else.
    """
    if start is not None and start.resolve() == path.resolve():
        raise InputError(
            f"cannot write over '{path}', which training starts from",
            hint="choose another folder with -o",
        )
    if resume and force:
        raise InputError("--resume continues a run and --force replaces it", hint="choose one")
    try:
        path.mkdir(parents=True, exist_ok=True)
        entries = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise InputError(
            f"cannot write '{path}': {error.strerror}", hint="choose another folder with -o"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"cannot write '{path}': no permission", hint="choose another with -o")
    # A folder of a logger's name is one of a run only beside the run that it tells of.
    expected = {*_RUN_FILES, *(LOGGERS.names() if _CONFIG_FILE in entries else ())}
    others = [name for name in entries if name not in expected and not name.endswith(".part")]
    if others:
        raise InputError(
            f"'{path}' is not a run directory: it holds {others[0]!r}",
            hint="choose another folder with -o",
        )
    if entries and not (resume or force):
        raise InputError(
            f"'{path}' exists", hint="--resume continues the run, --force starts it again"
        )


@contextlib.contextmanager
def locked_run(path: Path) -> Iterator[None]:
    """Keep other trainings out of a run directory; the kernel ends it with this process.

    Raises:
        InputError: If another process is training there.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InputError(
            f"another process is training in '{path}'",
            hint="wait for it or stop it, or choose another folder with -o",
        ) from error
    except OSError:
        pass  # a network file system without locks
    try:
        yield
    finally:
        os.close(descriptor)


def clear_run(path: Path, *, keep_run: bool) -> None:
    """Remove what a killed run left half-written, and an earlier run unless it goes on."""
    logs = [path / name for name in LOGGERS.names()]  # first, for they stand beside config.json
    for log in logs:
        if log.is_dir() and not log.is_symlink() and not keep_run:
            shutil.rmtree(log)
    for entry in path.iterdir():
        if entry.name.endswith(".part") or not keep_run:
            entry.unlink()


def find_run(path: Path) -> Run | None:
    """The run in a directory, or None where it was killed before its configuration was written.

    Raises:
        ArtifactError: If the run is damaged.
    """
    return read_run(path) if (path / _CONFIG_FILE).exists() else None


def check_same_options(run: Run, config: RunConfig) -> None:
    """Refuse to continue a run with other settings, preprocessing or start weights.

    Raises:
        InputError: Naming every option that differs, with both values.
    """
    _check_equal(run.path, _options(run.config), _options(config))


def check_same_images(run: Run, current: Run) -> None:
    """Refuse to continue a run on other images, by content.

    Raises:
        InputError: Naming the first split that differs, with both sizes.
    """
    _check_equal(run.path, {"classes": run.config.classes}, {"classes": current.config.classes})
    if run.config.outlier_archives != current.config.outlier_archives:
        raise InputError(
            f"cannot resume '{run.path}': the archives of its outliers are not those given now",
            hint="restore the archives, or start again with --force",
        )
    for name in SPLITS:
        if run.splits[name].hashes != current.splits[name].hashes:
            raise InputError(
                f"cannot resume '{run.path}': its {len(run.splits[name])} {name} images are not"
                f" the {len(current.splits[name])} found now",
                hint="restore the images, or start again with --force",
            )


def environment_notes(run: Run, current: Run) -> list[str]:
    """What keeps a resumed run from ending with the same bits, one sentence each."""
    before, now = run.config.environment, current.config.environment
    return [
        f"the run was started with {name} {before.get(name)!r} and goes on with {now[name]!r}:"
        " its weights may differ in the last bits"
        for name in now
        if before.get(name) != now[name]
    ]


def _options(config: RunConfig) -> dict[str, Any]:
    return {
        **config.settings.to_json(),
        "size_px": config.preprocess.size_px,
        "resize": config.preprocess.resize,
        "crop": config.preprocess.crop,
        "interpolation": config.preprocess.interpolation,
        "start weights": config.start and config.start.weights,
    }


def _check_equal(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = [
        f"{name} was {before[name]!r} and is {now[name]!r}"
        for name in now
        if before[name] != now[name]
    ]
    if changed:
        raise InputError(
            f"cannot resume '{path}': {'; '.join(changed)}",
            hint="give the options the run was started with, or start again with --force",
        )
