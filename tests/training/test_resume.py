"""When a run directory may be started, continued or replaced."""

from pathlib import Path

import pytest

from edge_ood.errors import InputError
from edge_ood.training.resume import clear_run, find_run, locked_run, prepare_directory

RUN_FILES = (
    *("config.json", "splits.json", "metrics.csv", "energies.json", "model.safetensors"),
    *("last.ckpt", "report.html"),
)


def prepare(path: Path, *, resume: bool = False, force: bool = False) -> None:
    prepare_directory(path, resume=resume, force=force)


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    """Missing parents are made too."""
    prepare(tmp_path / "runs" / "first")

    assert (tmp_path / "runs" / "first").is_dir()


def test_an_existing_run_is_refused_without_resume_or_force(tmp_path: Path) -> None:
    """A folder with a run is refused with a hint that names both ways on."""
    (tmp_path / "config.json").touch()

    with pytest.raises(InputError, match="exists") as caught:
        prepare(tmp_path)

    assert "--resume" in str(caught.value.hint)
    assert "--force" in str(caught.value.hint)


@pytest.mark.parametrize("resume", [True, False])
def test_resume_and_force_remove_nothing_yet(tmp_path: Path, resume: bool) -> None:
    """An old run stays until the new one has passed its checks."""
    (tmp_path / "config.json").write_text("precious")

    prepare(tmp_path, resume=resume, force=not resume)

    assert "precious" == (tmp_path / "config.json").read_text()


@pytest.mark.parametrize("resume", [True, False])
def test_a_folder_with_other_files_is_never_touched(tmp_path: Path, resume: bool) -> None:
    """Not even --force replaces a folder that holds anything but a run."""
    (tmp_path / "thesis.tex").touch()

    with pytest.raises(InputError, match=r"not a run directory: it holds 'thesis\.tex'"):
        prepare(tmp_path, resume=resume, force=not resume)


def test_resume_and_force_exclude_each_other(tmp_path: Path) -> None:
    """One continues and the other replaces."""
    with pytest.raises(InputError, match="--resume continues a run and --force replaces it"):
        prepare(tmp_path, resume=True, force=True)


def test_a_file_in_the_way_is_an_error(tmp_path: Path) -> None:
    """A path that cannot become a folder is reported with the system's reason."""
    (tmp_path / "taken").touch()

    with pytest.raises(InputError, match=r"cannot write .*taken/run"):
        prepare(tmp_path / "taken" / "run")


def test_a_folder_without_permission_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that the user may not write to is refused before any work."""
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere

    with pytest.raises(InputError, match="no permission"):
        prepare(tmp_path)


@pytest.mark.parametrize(("keep_run", "left"), [(True, sorted(RUN_FILES)), (False, [])])
def test_clearing_removes_what_is_not_continued(
    tmp_path: Path, keep_run: bool, left: list[str]
) -> None:
    """What a killed process left half-written always goes; the run itself unless it goes on."""
    for name in (*RUN_FILES, ".last.ckpt.1a2b.part"):
        (tmp_path / name).touch()

    clear_run(tmp_path, keep_run=keep_run)

    assert left == sorted(entry.name for entry in tmp_path.iterdir())


@pytest.mark.parametrize("keep_run", [True, False])
def test_a_log_goes_with_its_run(tmp_path: Path, keep_run: bool) -> None:
    """The folder of a logger, with all that is in it."""
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events").touch()

    clear_run(tmp_path, keep_run=keep_run)

    assert keep_run is (tmp_path / "tensorboard" / "events").exists()


def test_a_link_to_a_log_alone_goes(tmp_path: Path) -> None:
    """What lies elsewhere is not deleted."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "tensorboard").symlink_to(tmp_path / "elsewhere")

    clear_run(tmp_path / "run", keep_run=False)

    assert ["elsewhere", "run"] == sorted(path.name for path in tmp_path.iterdir())
    assert [] == list((tmp_path / "run").iterdir())


def test_a_run_killed_before_its_configuration_starts_anew(tmp_path: Path) -> None:
    """Without a configuration there is nothing to continue."""
    (tmp_path / "splits.json").touch()

    assert find_run(tmp_path) is None


def test_a_second_training_in_one_directory_is_refused(tmp_path: Path) -> None:
    """Until the first one ends."""
    second = locked_run(tmp_path)

    with locked_run(tmp_path), pytest.raises(InputError, match=f"training in '{tmp_path}'"):
        second.__enter__()

    with locked_run(tmp_path):
        pass
