"""What reads files from anywhere: a target uses an input, or refuses it with an error of ours."""

import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["TARGETS", "Target"]

STATUSES = ("unreadable", "not-an-image", "unsupported", "too-large")


@dataclass(frozen=True)
class Target:
    """What is fuzzed.

    Attributes:
        seeds: Sound inputs.
        use: Reads an input; true if it was accepted. Whatever it raises is a finding.
    """

    seeds: Sequence[bytes]
    use: Callable[[bytes], bool]


def pictures() -> Iterator[bytes]:
    """One small picture in every format, mode and compression that is decoded."""
    from PIL import Image  # here, so that atheris can watch it

    pixels = np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8)
    image = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    options: list[tuple[str, str, dict[str, Any]]] = [
        *(("RGB", kind, {"exif": exif}) for kind in ("JPEG", "PNG", "WEBP", "TIFF")),
        *(("RGB", kind, {}) for kind in ("BMP", "GIF", "PPM", "MPO")),
        *((mode, "JPEG", {}) for mode in ("L", "CMYK")),
        ("RGB", "JPEG", {"progressive": True, "restart_marker_rows": 1}),
        *((mode, "PNG", {}) for mode in ("1", "L", "LA", "P", "RGBA", "I;16")),
        *((mode, "TIFF", {}) for mode in ("1", "L", "P", "RGBA", "CMYK", "LAB", "F", "I;16")),
        *(("RGB", "TIFF", {"compression": c}) for c in ("tiff_lzw", "tiff_deflate", "jpeg")),
        ("1", "TIFF", {"compression": "group4"}),
        ("RGBA", "WEBP", {"lossless": True}),
        *((mode, "BMP", {}) for mode in ("1", "L", "P")),
        *((mode, "PPM", {}) for mode in ("1", "L", "I;16")),
    ]
    for mode, kind, chosen in options:
        converted = image.convert("L").convert(mode) if mode == "I;16" else image.convert(mode)
        buffer = io.BytesIO()
        converted.save(buffer, kind, **chosen)
        yield buffer.getvalue()
    for kind in ("GIF", "PNG", "WEBP", "TIFF", "MPO"):
        buffer = io.BytesIO()
        image.save(buffer, kind, save_all=True, append_images=[image.rotate(90)])
        yield buffer.getvalue()


def decoder(_: Path | None) -> Target:
    """`Preprocess.decode`: pixels of the right shape, or a `DataError` with a known status."""
    from edge_ood.errors import DataError
    from edge_ood.images.preprocess import Preprocess

    preprocess = Preprocess(8)

    def use(payload: bytes) -> bool:
        try:
            pixels = preprocess.decode(payload, "'x'")
        except DataError as refusal:
            check_refusal(refusal, "'x'")
            return False
        assert (pixels.shape, pixels.dtype) == ((8, 8, 3), np.uint8)
        return True

    return Target(list(pictures()), use)


def check_refusal(refusal: Any, name: str) -> None:
    """An error of ours names the file in one line and says what to do."""
    assert name in str(refusal)
    assert "\n" not in str(refusal)
    assert refusal.hint
    assert getattr(refusal, "status", "unreadable") in STATUSES


def metadata(path: Path) -> Target:
    """`read_metadata`: an `ArtifactError`, or metadata that everything works with."""
    import onnx

    from edge_ood.artifact.metadata import METADATA_KEY, store_metadata, write_metadata
    from edge_ood.artifact.reader import read_metadata
    from edge_ood.errors import ArtifactError

    model = onnx.load(path)
    sound = next(p.value for p in model.metadata_props if p.key == METADATA_KEY)

    def use(payload: bytes) -> bool:
        try:
            text = payload.decode("utf-8", "replace")
            found = read_metadata({METADATA_KEY: text}, source="x.onnx")
        except ArtifactError as refusal:
            check_refusal(refusal, "'x.onnx'")
            return False
        written = write_metadata(found)
        assert found == read_metadata({METADATA_KEY: written}, source="x.onnx")
        store_metadata(model, found)
        use_artefact(model.SerializeToString())
        return True

    return Target([sound.encode()], use)


def classifier(path: Path) -> Target:
    """What `attach` reads of somebody else's network: an `EdgeOodError`, or its normal form."""
    from edge_ood.errors import EdgeOodError
    from edge_ood.graph.intake import image_input, normal_form, read_model

    def use(payload: bytes) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "x.onnx")
            copy.write_bytes(payload)
            try:
                model = read_model(copy)
                normal_form(model, image_input(model))
            except EdgeOodError:
                return False
        return True

    return Target([path.read_bytes()], use)


def artefact(path: Path) -> Target:
    """`Scorer` on a whole file."""
    return Target([path.read_bytes()], use_artefact)


def use_artefact(payload: bytes) -> bool:
    """Do with a file what the commands do; an `EdgeOodError` at any point is fine."""
    from edge_ood.errors import EdgeOodError

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.onnx")
        path.write_bytes(payload)
        try:
            score_and_show(path)
            recalibrate(path)
        except EdgeOodError:
            return False
    return True


def score_and_show(path: Path) -> None:
    """What `score`, `check` and `inspect` do."""
    from edge_ood.cli.inspect import report
    from edge_ood.graph.budget import size_budget
    from edge_ood.graph.head_costs import added_bytes
    from edge_ood.graph.loading import load_model_file
    from edge_ood.runtime.probe import run_probe
    from edge_ood.runtime.scorer import Scorer
    from edge_ood.tables.formats import write_to

    scorer = Scorer(path, provider="cpu", threads=1)
    scores = scorer(np.full((2, 5, 7, 3), 99, np.uint8))
    write = write_to(io.StringIO(), "jsonl", scorer.heads)
    for row in scores.rows([path, path]):
        write(row)
    run_probe(scorer)
    added = added_bytes(load_model_file(path), scorer.metadata.head_names)
    assert report(scorer.metadata, added)
    assert size_budget(path, scorer.metadata.head_names)
    if scorer.metadata.calibration.n:
        show_page(path)
    Scorer(path, provider="cpu", threads=1, heads=[scorer.metadata.primary])


def show_page(path: Path) -> None:
    """What the page about an artefact shows, but for the drawing."""
    from edge_ood.report.export_document import calibration_scores, describe

    described = describe(path)
    for score in described.decision.outputs:
        calibration_scores(described, score)


def recalibrate(path: Path) -> None:
    """What `calibrate` does, and `--undo`."""
    from PIL import Image

    from edge_ood.calibration.guarantee import Changes
    from edge_ood.runtime.calibrate import calibrate_artifact, undo_calibration

    images = [path.with_name(f"{level}.png") for level in range(19)]
    for level, image in enumerate(images):
        Image.new("L", (4, 4), level).save(image)
    calibrate_artifact(path, images, changes=Changes(although_flagged=True), provider="cpu")
    undo_calibration(path)


def run(path: Path) -> Target:
    """What `export`, `train --from` and the page read of a run directory."""
    names = {"{": ("config.json", "splits.json", "energies.json"), "e": ("metrics.csv",)}
    others = ("model.safetensors",)
    seeds = [(path / name).read_bytes() for name in (*names["{"], "metrics.csv", *others)]

    def use(payload: bytes) -> bool:
        from edge_ood.errors import EdgeOodError

        accepted = False
        for name in names.get(payload[:1].decode("latin-1"), others):
            with tempfile.TemporaryDirectory() as folder:
                copy = Path(folder, "run")
                copy.mkdir()
                for file in path.iterdir():
                    (copy / file.name).symlink_to(file)
                (copy / name).unlink()
                (copy / name).write_bytes(payload)
                try:
                    use_run(copy)
                except EdgeOodError:
                    continue
                accepted = True
        return accepted

    return Target(seeds, use)


def use_run(path: Path) -> None:
    """Read all that a run directory holds, and put the page's document together."""
    from edge_ood.report.training_page import training_document
    from edge_ood.training.energies import Energies, read_energies
    from edge_ood.training.run_directory import read_metrics, read_run
    from edge_ood.training.run_weights import load_model

    found, epochs = read_run(path), read_metrics(path)
    assert training_document(found, epochs, read_energies(path) or Energies())
    load_model(found)


def checkpoint(path: Path) -> Target:
    """What `train --resume` reads of a run that was stopped, and goes on with.

    Three kinds of input: the file; the pickle inside it, with checksums that are right again; and
    its contents as JSON, with names in place of tensors.
    """
    import torch

    from edge_ood.training.checkpoint import load_checkpoint

    started, sound = session_and_checkpoint(path)
    tensors: dict[str, Any] = {}
    content = torch.load(io.BytesIO(sound), weights_only=True)
    document = json.dumps(without_tensors(content, tensors)).encode()

    def use(payload: bytes) -> bool:
        from edge_ood.errors import EdgeOodError

        if payload[:1] == b"{":
            buffer = io.BytesIO()
            torch.save(with_tensors(as_json(payload), tensors), buffer)
            payload = buffer.getvalue()
        elif payload[:1] == b"\x80":
            payload = repacked(sound, payload)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, "last.ckpt")
            copy.write_bytes(payload)
            try:
                state = load_checkpoint(copy, started)
            except EdgeOodError as refusal:
                check_refusal(refusal, "last.ckpt")
                return False
            try:
                go_on(started, state, copy.parent)
            except EdgeOodError:  # such as weights with which the loss is not finite
                return False
        return True

    return Target([sound, repacked(sound), document, document], use)


def session_and_checkpoint(path: Path) -> tuple[Any, bytes]:
    """The session of a finished run, and what it would have saved one step before its end."""
    from edge_ood.images.reading import decode_all
    from edge_ood.training.checkpoint import new_state, save_checkpoint
    from edge_ood.training.devices import start_fabric
    from edge_ood.training.energies import read_energies
    from edge_ood.training.pixels import Pixels
    from edge_ood.training.run_directory import read_metrics, read_run
    from edge_ood.training.session import start_session
    from edge_ood.training.training_set import DECODED_SPLITS, TrainingSet

    found, energies = read_run(path), read_energies(path)
    assert energies is not None
    arrays = {
        name: decode_all(found.splits[name].paths, found.config.preprocess)[0]
        for name in DECODED_SPLITS
    }
    decoded = {name: Pixels(array, np.arange(len(array))) for name, array in arrays.items()}
    fabric = start_fabric("cpu", found.config.settings)
    session = start_session(fabric, found.config, TrainingSet(found.splits, decoded))
    state, steps = new_state(session), session.batches.steps_per_epoch
    state.epochs = list(read_metrics(path))[:-1]
    state.step, state.losses, state.seconds = steps * (len(state.epochs) + 1) - 1, steps - 1, 1.0
    state.energies = dict(energies.before)
    for parameter in session.classifier.parameters():
        session.optimizer.state[parameter]["momentum_buffer"] = parameter.detach().clone()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "last.ckpt")
        save_checkpoint(file, session, state)
        return session, file.read_bytes()


def go_on(session: Any, state: Any, folder: Path) -> None:
    """The steps that are left, unless they are many, and what is written of them."""
    from edge_ood.training.energies import Energies, read_energies, write_energies
    from edge_ood.training.progress import SILENT
    from edge_ood.training.run_directory import read_metrics
    from edge_ood.training.train import Launch, train_steps

    write_energies(folder, Energies(state.energies))
    assert read_energies(folder) == Energies(state.energies)
    if state.step < session.batches.steps_per_epoch:
        return
    train_steps(session, state, folder, launch=Launch(device="cpu"), progress=SILENT)
    if (folder / "metrics.csv").exists():
        assert len(read_metrics(folder)) == len(state.epochs)


def without_tensors(value: Any, tensors: dict[str, Any]) -> Any:
    """A value as JSON has it: tensors by a name of their own, under which they are kept."""
    import torch

    if isinstance(value, torch.Tensor):
        name = f"tensor {len(tensors)}"
        tensors[name] = value
        return name
    if isinstance(value, dict):
        return {key: without_tensors(inner, tensors) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_tensors(inner, tensors) for inner in value]
    return value


def with_tensors(value: Any, tensors: dict[str, Any]) -> Any:
    """What `without_tensors` was given, or its answer was made since; keys may be numbers."""
    if isinstance(value, dict):
        return {
            int(key) if key.isdecimal() else key: with_tensors(inner, tensors)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [with_tensors(inner, tensors) for inner in value]
    return tensors.get(value, value) if isinstance(value, str) else value


def as_json(payload: bytes) -> Any:
    """A document, or its text where it is damaged."""
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return payload.decode("latin-1")


def repacked(sound: bytes, pickled: bytes = b"") -> bytes:
    """A torch archive with another pickle inside; or, without one, the pickle that it has."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sound)) as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("/data.pkl"):
                if not pickled:
                    return content
                content = pickled
            target.writestr(name, content)
    return made.getvalue()


TARGETS: dict[str, Callable[[Any], Target]] = {
    "decoder": decoder,
    "metadata": metadata,
    "artefact": artefact,
    "classifier": classifier,
    "run": run,
    "checkpoint": checkpoint,
}
