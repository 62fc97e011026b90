"""A run directory is data: code that it names runs on the user's own word alone."""

import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import edge_ood
from edge_ood.cli.app import app
from edge_ood.errors import ChanceLevelError, ExportError, InputError
from edge_ood.registry import Spec
from edge_ood.training.run_directory import read_run
from edge_ood.training.run_weights import load_model
from edge_ood.training.trust import trusted_run

MODULE = """
from pathlib import Path
from torch import nn

def build(num_classes=2, mark="", width=4):
    if mark:
        Path(mark).write_text("ran")
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(width, num_classes),
    )
"""
TINY: dict[str, Any] = {
    **{"image_size": 8, "epochs": 1, "batch_size": 14, "device": "cpu", "lr": 0.0001}
}
REFUSED = "names code to run, .*, and files may come from anybody"


@pytest.fixture(scope="module")
def trained(
    tiny_images: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, Path]]:
    """A run of the user's own network, and a file that its code makes when it runs."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_nets.py").write_text(MODULE)
    run, mark = folder / "run", folder / "mark"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with contextlib.suppress(ChanceLevelError):  # it may know nothing, and is a run
            edge_ood.train(tiny_images / "train", run, model=f"own_nets:build:mark={mark}", **TINY)
        yield run, mark


@pytest.fixture
def own_run(
    trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """A copy of that run, whose code has not run yet, in the folder that holds it."""
    run, mark = trained
    shutil.copytree(run, tmp_path / "run")
    mark.unlink(missing_ok=True)
    monkeypatch.chdir(run.parent)
    monkeypatch.delitem(sys.modules, "own_nets", raising=False)
    return tmp_path / "run", mark


def exported(run: Path, images: Path, **options: Any) -> None:
    edge_ood.export(
        run, run.parent / "x.onnx", provider="cpu", scores="energy", alpha=0.3, **options
    )


def fine_tuned(run: Path, images: Path, **options: Any) -> None:
    edge_ood.train(
        images / "train", run.parent / "second", start=run, epochs=1, device="cpu", **options
    )


def loaded(run: Path, images: Path) -> None:
    load_model(read_run(run))


@pytest.mark.parametrize("use", [exported, fine_tuned, loaded])
def test_a_run_alone_runs_nothing(
    use: Callable[..., None], own_run: tuple[Path, Path], tiny_images: Path
) -> None:
    """Whatever is done with it; the module is not even imported."""
    run, mark = own_run
    with pytest.raises(InputError, match=REFUSED):
        use(run, tiny_images)

    assert not mark.exists()
    assert "own_nets" not in sys.modules


@pytest.mark.parametrize("use", [exported, fine_tuned])
@pytest.mark.parametrize("word", ["model", "trust"])
def test_the_users_word_runs_it(
    use: Callable[..., None], word: str, own_run: tuple[Path, Path], tiny_images: Path
) -> None:
    """The same model, named again, or --trust."""
    run, mark = own_run
    said = {"model": f"own_nets:build:mark={mark}"} if word == "model" else {"trust": True}

    with contextlib.suppress(ChanceLevelError, ExportError):  # such a network may still be no use
        use(run, tiny_images, **said)

    assert mark.exists()


@pytest.mark.parametrize("use", [exported, fine_tuned])
@pytest.mark.parametrize("model", ["own_nets:build", "own_nets:build:width=4", "wrn-10-1"])
def test_another_model_is_not_a_word(
    use: Callable[..., None], model: str, own_run: tuple[Path, Path], tiny_images: Path
) -> None:
    """A parameter that the file alone names would reach the user's code."""
    run, mark = own_run

    with pytest.raises(InputError):
        use(run, tiny_images, model=model)

    assert not mark.exists()


def test_resuming_runs_what_was_typed(own_run: tuple[Path, Path], tiny_images: Path) -> None:
    """A run that names other code than the command does is refused."""
    run, mark = own_run
    (run / "model.safetensors").rename(run / "last.ckpt")

    with pytest.raises(InputError, match="cannot resume"):
        edge_ood.train(tiny_images / "train", run, model="wrn-10-1", resume=True, **TINY)

    assert not mark.exists()


def test_a_function_of_the_standard_library_is_code(
    own_run: tuple[Path, Path], tiny_images: Path, tmp_path: Path
) -> None:
    """No file of an attacker's is needed for it."""
    run, mark = own_run[0], tmp_path / "mark"
    config = json.loads((run / "config.json").read_text("utf-8"))
    statement = f"open({str(mark)!r}, 'w').write('ran')"
    parameters = {"stmt": statement, "number": "1"}
    config["settings"]["model"] = {"name": "timeit:timeit", "parameters": parameters}
    (run / "config.json").write_text(json.dumps(config), "utf-8")

    for command in (
        ["export", str(run), "-o", str(tmp_path / "x.onnx")],
        ["train", str(tiny_images / "train"), "--from", str(run), "-o", str(tmp_path / "second")],
    ):
        result = CliRunner().invoke(app, command)
        assert 1 == result.exit_code
        assert "names code to run, 'timeit:timeit'" in result.stderr
        assert statement not in result.stderr
        assert not mark.exists()


def test_names_of_edge_ood_need_no_word(
    run_training: Callable[..., object], tiny_images: Path, tmp_path: Path
) -> None:
    """A network of the library is no code of anybody's; a wrong name for it is said."""
    run_training(tiny_images, tmp_path / "run", epochs=1)
    run = read_run(tmp_path / "run")

    assert run == trusted_run(run)
    load_model(run)
    with pytest.raises(InputError, match="was trained with another model than --model wrn-16-1"):
        trusted_run(run, model=Spec("wrn-16-1"))
