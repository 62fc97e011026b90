"""Run directories that somebody damaged or made up: one line of ours, whatever is wrong."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from edge_ood.errors import ArtifactError, EdgeOodError
from edge_ood.models import build_classifier
from edge_ood.registry import Spec
from edge_ood.report.training_page import training_document
from edge_ood.training.averaging import averaged_copy, update_average
from edge_ood.training.checkpoint import load_checkpoint, new_state, save_checkpoint
from edge_ood.training.energies import Energies, read_energies
from edge_ood.training.optimisation import make_optimizer
from edge_ood.training.run_directory import EpochReport, read_metrics, read_run
from edge_ood.training.run_weights import load_model
from edge_ood.training.settings import BEST, EMA, Settings

DEEP = "[" * 100_000 + "]" * 100_000
VALUES = (
    *("1e999", "-1e999", "NaN", str(10**400), "9" * 5000, "-1", str(2**70), "1e300", "0.5"),
    *(
        "null",
        "true",
        "[]",
        "{}",
        "[[]]",
        '{"a": 1}',
        '""',
        '"x"',
        r'"a\u0000b"',
        r'"\ud800"',
        DEEP,
    ),
)
"""What may stand in place of any value of a JSON document."""


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, to be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def use(path: Path) -> None:
    """Read all that a run directory holds, as `export` and its page do."""
    run, epochs = read_run(path), read_metrics(path)
    training_document(run, epochs, read_energies(path) or Energies())
    load_model(run)


def refusal(path: Path) -> str:
    """What our error says of a run; empty if the run is used."""
    try:
        use(path)
    except EdgeOodError as error:
        return str(error)
    return ""


def places(document: Any, *above: str | int) -> list[tuple[str | int, ...]]:
    """Where values stand; of lists the first only, whose others are alike."""
    items = list(document.items() if isinstance(document, dict) else enumerate(document[:1]))
    below = [
        place
        for key, value in items
        if isinstance(value, dict | list)
        for place in places(value, *above, key)
    ]
    return [*((*above, key) for key, _ in items), *below]


def replaced(document: Any, place: tuple[str | int, ...], text: str) -> str:
    """The document as JSON, with other text in one place."""
    copy = json.loads(json.dumps(document))
    container = copy
    for part in place[:-1]:
        container = container[part]
    container[place[-1]] = "@@"
    return json.dumps(copy).replace('"@@"', text)


@pytest.mark.parametrize("name", ["config.json", "splits.json", "energies.json"])
def test_any_value_in_any_place_is_used_or_refused(name: str, run: Path) -> None:
    """No error but ours, of one line and no endless one; most of such files are refused."""
    document = json.loads((run / name).read_text())
    refused = 0
    for place in places(document):
        for text in VALUES:
            (run / name).write_text(replaced(document, place, text))
            said = refusal(run)
            refused += bool(said)
            assert "\n" not in said
            assert len(said) < 700

    assert refused > len(places(document)) * len(VALUES) / 2


@pytest.mark.parametrize("text", VALUES[:5] + VALUES[-2:])
@pytest.mark.parametrize("name", ["config.json", "splits.json", "energies.json"])
def test_what_no_number_or_text_can_be_is_refused_everywhere(
    name: str, text: str, run: Path
) -> None:
    """In a field that nobody knows, too: a page may show it, and a later version may compute."""
    document = {**json.loads((run / name).read_text()), "later": "@@"}
    (run / name).write_text(json.dumps(document).replace('"@@"', text))

    if text == VALUES[-2] and name != "energies.json":
        return use(run)  # a path may be no text
    with pytest.raises(ArtifactError, match=r"^'.*' is damaged: "):
        use(run)


@pytest.mark.parametrize("name", ["config.json", "splits.json"])
def test_a_missing_field_is_named_or_not_needed(name: str, run: Path) -> None:
    """Leaving any field out is no error of Python's."""
    document = json.loads((run / name).read_text())
    for place in places(document):
        copy = json.loads(json.dumps(document))
        container = copy
        for part in place[:-1]:
            container = container[part]
        del container[place[-1]]
        (run / name).write_text(json.dumps(copy))
        assert "\n" not in refusal(run)


@pytest.mark.parametrize(
    "edit",
    [
        lambda rows: [["a\0.png", *rows[0][1:]], *rows[1:]],
        lambda rows: [["\ud800.png", *rows[0][1:]], *rows[1:]],
        lambda rows: [[5, *rows[0][1:]], *rows[1:]],
        lambda rows: [[rows[0][0], "no hash", 0], *rows[1:]],
        lambda rows: [[*rows[0][:2], 2**70], *rows[1:]],
        lambda rows: [[*rows[0][:2], 0.5], *rows[1:]],
        lambda rows: [[*rows[0][:2], True], *rows[1:]],
        lambda rows: dict(enumerate(rows)),
    ],
)
def test_images_that_cannot_be_are_refused(edit: Callable[[list[Any]], Any], run: Path) -> None:
    """Paths that no file has, hashes that are none, and labels of no class."""
    path = run / "splits.json"
    document = json.loads(path.read_text())
    document["training"]["images"] = edit(document["training"]["images"])
    path.write_text(json.dumps(document))

    with pytest.raises(ArtifactError, match="is damaged"):
        read_run(run)


def test_classes_without_images_are_refused(run: Path) -> None:
    """A million names would be a network of gigabytes, and none of them was ever trained."""
    path = run / "config.json"
    document = {**json.loads(path.read_text()), "classes": [str(i) for i in range(10**6)]}
    path.write_text(json.dumps(document))

    with pytest.raises(ArtifactError, match="damaged: 1000000 classes, and fewer images"):
        read_run(run)


@pytest.mark.parametrize(
    "name", ["wrn-6000000004-1", "wrn-10-100000", "densenet-bc-6000004-12", "densenet-bc-100-99999"]
)
def test_a_network_of_absurd_size_is_refused(name: str, run: Path) -> None:
    """Before it is built: the name in a file decides how much memory that takes."""
    path = run / "config.json"
    document = json.loads(path.read_text())
    document["settings"]["model"] = {"name": name, "parameters": {}}
    path.write_text(json.dumps(document))

    with pytest.raises(EdgeOodError, match="too large") as caught:
        load_model(read_run(run))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", range(8))
@pytest.mark.parametrize("text", ["-1", "1e999", "9" * 5000, "x", "", "2.5e300", "\0", '"'])
def test_damaged_numbers_of_an_epoch_are_refused(column: int, text: str, run: Path) -> None:
    """Epochs count from 1, shares are at most 1, and the rest is finite and not negative."""
    path = run / "metrics.csv"
    header, first, *others = path.read_text().splitlines()
    cells = first.split(",")
    cells[column] = text
    path.write_text("\n".join([header, ",".join(cells), *others]) + "\n")

    if text == "2.5e300" and 1 <= column <= 5 and column != 3:
        assert 2.5e300 in vars(read_metrics(run)[0]).values()
        return
    with pytest.raises(ArtifactError, match="is damaged") as caught:
        read_metrics(run)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rows", [[2, 1], [1, 1], [0, 1], [2, 3]])
def test_epochs_out_of_order_are_refused(rows: list[int], run: Path) -> None:
    """A curve over them would be no curve."""
    path = run / "metrics.csv"
    header, first, second = path.read_text().splitlines()
    lines = [
        f"{number},{row.partition(',')[2]}"
        for number, row in zip(rows, (first, second), strict=True)
    ]
    path.write_text("\n".join([header, *lines]))

    with pytest.raises(ArtifactError, match="not counted from 1"):
        read_metrics(run)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 8,
        (2**63).to_bytes(8, "little") + b"{}",
        (9).to_bytes(8, "little") + b'{"a": {}}',
        (200_000).to_bytes(8, "little") + DEEP.encode(),
        (2).to_bytes(8, "little") + b"{}",
        *(
            len(text).to_bytes(8, "little") + text + bytes(8)
            for kind, sizes in (
                ("F32", "[2]"),
                ("F8_E8M0", "[8]"),
                ("F32", f"[{2**62}]"),
                ("?", "[]"),
            )
            for text in [
                f'{{"a": {{"dtype": "{kind}", "shape": {sizes}, "data_offsets": [0, 8]}}}}'.encode()
            ]
        ),
    ],
)
def test_damaged_weights_are_refused(content: bytes, run: Path) -> None:
    """Whatever the file claims to hold."""
    (run / "model.safetensors").write_bytes(content)

    with pytest.raises(ArtifactError, match=r"is damaged: .") as caught:
        load_model(read_run(run))

    assert "\n" not in str(caught.value)


def session(**options: Any) -> Any:
    """As much of one as a checkpoint knows: two epochs of four steps."""
    torch.manual_seed(0)
    classifier = build_classifier("wrn-10-1", 2)
    settings = Settings(Spec("wrn-10-1"), Spec("cross-entropy"), epochs=2, **options)
    optimizer = make_optimizer(classifier, settings, torch.device("cpu"))
    sum(weights.sum() for weights in classifier.parameters()).backward()  # type: ignore[union-attr]
    optimizer.step()
    averaged = averaged_copy(classifier) if settings.average == EMA else None
    return SimpleNamespace(
        classifier=classifier,
        judged=classifier,
        averaged=averaged,
        optimizer=optimizer,
        batches=SimpleNamespace(steps_per_epoch=4, settings=settings),
        fabric=SimpleNamespace(device=torch.device("cpu")),
    )


def saved(
    path: Path, edit: Callable[[dict[str, Any]], object], *, step: int = 3, **options: Any
) -> Path:
    """A checkpoint that somebody changed."""
    made = session(**options)
    state = new_state(made)
    state.step, state.losses = step, step % 4
    state.epochs = [EpochReport(1, 0.1, 1.0, 0.5, 1.0, 1.0)] * (step // 4)
    if options.get("keep") == BEST and state.epochs:
        state.kept = made.classifier.state_dict()
    for _ in range(step if made.averaged is not None else 0):
        update_average(made.averaged, made.classifier)
    save_checkpoint(path, made, state)
    content = torch.load(path, weights_only=True)
    edit(content)
    torch.save(content, path)
    return path


def test_a_checkpoint_that_fits_is_read(tmp_path: Path) -> None:
    """The same session goes on where it was."""
    path = saved(tmp_path / "last.ckpt", lambda content: None)

    assert 3 == load_checkpoint(path, session()).step


@pytest.mark.parametrize(
    "edit",
    [
        lambda c: c.clear(),
        lambda c: c.update(format="1"),
        lambda c: c.update(format=None),
        lambda c: c.update(step=-1),
        lambda c: c.update(step=2**70),
        lambda c: c.update(step=4),
        lambda c: c.update(step=9),
        lambda c: c.update(step=2.5),
        lambda c: c.update(step=True),
        lambda c: c.update(losses=0),
        lambda c: c.update(losses="3"),
        lambda c: c.update(seconds="x"),
        lambda c: c.update(seconds=-1.0),
        lambda c: c.update(loss_sum=3.0),
        lambda c: c.update(loss_sum=torch.zeros(2, dtype=torch.float64)),
        lambda c: c.update(loss_sum=torch.zeros(())),
        lambda c: c.update(epochs=None),
        lambda c: c.update(epochs=[{}]),
        lambda c: c.update(epochs=[{"epoch": 1}]),
        lambda c: c.update(energies=[]),
        lambda c: c.update(energies={"training": {"n": "x", "mean": 0, "quantiles": []}}),
        lambda c: c.update(energies={"training": {"n": 1, "mean": "x", "quantiles": [0] * 101}}),
        lambda c: c.update(losses=2**70),
        lambda c: c.update(seconds=math.inf),
        lambda c: c.update(seconds=torch.ones(())),
        lambda c: c.update(loss_sum=torch.zeros((), dtype=torch.float64, device="meta")),
        lambda c: c.update(energies={"training": {"n": 1, "mean": 0.0, "quantiles": "0" * 101}}),
        lambda c: c.update(
            energies={"training": {"n": 1, "mean": 0.0, "quantiles": [0.0] * 100 + [math.inf]}}
        ),
        lambda c: c["optimizer"].update(
            state={0: {"momentum_buffer": next(iter(c["classifier"].values())).to("meta")}}
        ),
        lambda c: c.update(classifier=[]),
        lambda c: c.update(classifier={}),
        lambda c: c["classifier"].popitem(),
        lambda c: c.update(optimizer=None),
        lambda c: c["optimizer"].update(param_groups=[]),
        lambda c: c["optimizer"].update(param_groups=3),
        lambda c: c["optimizer"].update(state=[]),
        lambda c: c["optimizer"].update(state={0: {"momentum_buffer": torch.zeros(2)}}),
        lambda c: c["optimizer"].update(state={0: {"momentum_buffer": "x"}}),
        lambda c: c["optimizer"].update(state={0: {}}),
        lambda c: c["optimizer"].update(state={999: {"momentum_buffer": torch.zeros(2)}}),
        lambda c: c["optimizer"]["param_groups"][0].update(momentum="x"),
        lambda c: c["optimizer"]["param_groups"][0].update(params=[0]),
        lambda c: c["optimizer"]["param_groups"][0].pop("momentum"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    edit: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    """Before the first step that would fail on it, in one line."""
    path = saved(tmp_path / "last.ckpt", edit)

    with pytest.raises(ArtifactError, match=r"last.ckpt' is damaged: .") as caught:
        load_checkpoint(path, session())

    assert "\n" not in str(caught.value)


MODERN = {"optimizer": "adamw", "average": "ema", "keep": "best"}


@pytest.mark.parametrize("step", [0, 3, 4, 6])
def test_a_checkpoint_of_all_that_can_be_kept_is_read(step: int, tmp_path: Path) -> None:
    """Before and after the first epoch."""
    path = saved(tmp_path / "last.ckpt", lambda content: None, step=step, **MODERN)

    state = load_checkpoint(path, session(**MODERN))

    assert (step, step >= 4) == (state.step, bool(state.kept))


def first_weight(content: dict[str, Any]) -> torch.Tensor:
    found: torch.Tensor = next(iter(content["classifier"].values()))
    return found


@pytest.mark.parametrize(
    "edit",
    [
        lambda c: c["optimizer"].update(state={0: {}}),
        lambda c: c["optimizer"].update(state={0: {"momentum_buffer": first_weight(c)}}),
        lambda c: c["optimizer"]["state"][0].pop("exp_avg_sq"),
        lambda c: c["optimizer"]["state"][0].update(exp_avg=torch.zeros(2)),
        lambda c: c["optimizer"]["state"][0].update(exp_avg=None),
        lambda c: c["optimizer"]["state"][0].update(exp_avg_sq=first_weight(c).double()),
        lambda c: c["optimizer"]["state"][0].update(step=3),
        lambda c: c["optimizer"]["state"][0].update(step="3"),
        lambda c: c["optimizer"]["state"][0].update(step=torch.tensor(-1.0)),
        lambda c: c["optimizer"]["state"][0].update(step=torch.tensor(math.nan)),
        lambda c: c["optimizer"]["state"][0].update(step=torch.tensor([1.0, 2.0])),
        lambda c: c["optimizer"]["param_groups"][0].update(factor=2.0),
        lambda c: c["optimizer"]["param_groups"][0].update(betas=(0.9, 2.0)),
        lambda c: c.pop("averaged"),
        lambda c: c.update(averaged=None),
        lambda c: c.update(averaged={}),
        lambda c: c["averaged"].popitem(),
        lambda c: c["averaged"].update(n_averaged=torch.tensor(5)),
        lambda c: c["averaged"].update(n_averaged=6),
        lambda c: c["averaged"].update({next(reversed(c["averaged"])): torch.zeros(5)}),
        lambda c: c.pop("kept"),
        lambda c: c.update(kept=None),
        lambda c: c.update(kept=[]),
        lambda c: c["kept"].popitem(),
        lambda c: c["kept"].update({next(reversed(c["kept"])): torch.zeros(5)}),
        lambda c: c["kept"].update({next(reversed(c["kept"])): "x"}),
    ],
)
def test_damage_to_what_is_kept_is_refused(
    edit: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    """Of AdamW, averages and the best weights so far, in one line."""
    path = saved(tmp_path / "last.ckpt", edit, step=6, **MODERN)

    with pytest.raises(ArtifactError, match=r"last.ckpt' is damaged: .") as caught:
        load_checkpoint(path, session(**MODERN))

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x02", b"\x80\x02j\x00", b"\x80\x02G\x00"])
def test_a_checkpoint_that_ends_too_early_is_refused(content: bytes, tmp_path: Path) -> None:
    """In the middle of a number, too, which torch's reader does not expect."""
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)

    with pytest.raises(ArtifactError, match=r"last.ckpt' is damaged: .") as caught:
        load_checkpoint(path, session())

    assert "\n" not in str(caught.value)
