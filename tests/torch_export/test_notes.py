"""What an export says of a head that decides by what training has not trained, or has blurred."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge_ood.attachment.listener import Listener
from edge_ood.attachment.request import Options
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.registry import Spec, parse_specs
from edge_ood.torch_export import export as module
from edge_ood.torch_export.export import export_run
from edge_ood.torch_export.notes import unfit_head_note
from edge_ood.training.run_directory import read_run


@pytest.mark.parametrize(
    ("objective", "primary", "said"),
    [
        ("logit-norm", "energy", True),
        ("logit-norm", "msp", False),
        ("cross-entropy", "energy", False),
        ("of-another-version", "energy", False),
    ],
)
def test_a_head_that_the_objective_does_not_train_is_pointed_out(
    run_path: Path, objective: str, primary: str, *, said: bool
) -> None:
    """Where it decides, and only there."""
    settings = replace(read_run(run_path).config.settings, objective=Spec(objective))

    note = unfit_head_note(settings, primary)

    assert said == bool(note)
    assert not said or note.startswith(f"{primary!r} decides")


@pytest.mark.parametrize(
    ("smoothing", "primary", "named"),
    [
        (0.1, "energy", "as energy does"),
        (0.1, "mahalanobis", ""),
        (0.1, "combined", "as energy, nci do"),
        (0.0, "energy", ""),
    ],
)
def test_label_smoothing_is_held_against_scores_that_read_logits(
    run_path: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    smoothing: float,
    primary: str,
    named: str,
) -> None:
    """Each head of a decision counts, and none that only stands in the file."""
    run = read_run(run_path)
    settings = replace(run.config.settings, label_smoothing=smoothing)
    monkeypatch.setattr(
        module, "read_run", lambda path: replace(run, config=replace(run.config, settings=settings))
    )
    heard: list[str] = []

    export_run(
        run_path,
        tmp_path / "smoothed.onnx",
        Options(
            heads=parse_specs("energy,mahalanobis,nci"),
            primary=primary,
            guarantee=Guarantee(combined=primary == "combined"),
            provider="cpu",
        ),
        listener=Listener(on_note=heard.append),
    )

    notes = [note for note in heard if "label smoothing" in note]
    assert bool(named) == len(notes)
    assert all(named in note for note in notes)
