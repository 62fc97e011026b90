"""What an artefact costs on this device, and the settings of `edge-ood score` that suit it."""

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from PIL import Image

from edge_ood.artifact.contract import INPUT_NAME
from edge_ood.artifact.device import Device, this_device
from edge_ood.errors import DataError
from edge_ood.graph.head_costs import variants
from edge_ood.graph.loading import model_of
from edge_ood.images.decoding.image_file import image_payload
from edge_ood.images.preprocess import Preprocess
from edge_ood.onnx_session import open_session
from edge_ood.runtime.scorer import Scorer
from edge_ood.runtime.timing import median_seconds, time_added
from edge_ood.threads import available_cores, ordered_map

__all__ = ["Added", "Choice", "Rate", "Report", "benchmark", "fastest", "thread_counts"]

_BATCH_SIZES = (1, 2, 4, 8, 16, 32)
_MOST_FILES = 256
_TOTAL_S = 20.0  # shared out among all figures
_SHARES_OF_SCORES = 8
_LONGEST_RUN_S = 2.0  # larger batches are not tried
_WORTH_IT = 1.02  # a setting that gains less is not worth more threads or a larger batch
_GIVEN = f"{_MOST_FILES} of the files given, or as many as there are and there is time for"
_BUILT_IN = "4 built-in pictures of 512 x 384"
_BUILT_IN_COUNT = 4


@dataclass(frozen=True)
class Rate:
    """Images per second through the network, `threads` inferences side by side."""

    batch_size: int
    threads: int
    images_per_second: float


@dataclass(frozen=True)
class Choice:
    """Settings, and the images per second to expect of them, decoding included."""

    batch_size: int
    threads: int
    images_per_second: float


@dataclass(frozen=True)
class Added:
    """What scores cost beside a network that gives label and logits alone, on one thread.

    Attributes:
        scores: One of them, or all together.
        batch_size: Images per inference.
        added_us: Microseconds that an image takes longer with them, >= 0.
        network_us: Microseconds that it takes without them, measured in turn.
    """

    scores: tuple[str, ...]
    batch_size: int
    added_us: float
    network_us: float


@dataclass(frozen=True)
class Report:
    """What was measured.

    Attributes:
        device: Where.
        files: What was decoded, in words.
        decode_ms: Reading and decoding one file, on one core.
        rates: By batch size and inferences side by side, each on one thread.
        latency_ms: Median of one frame's inference, by the threads it has.
        added: By each score alone, then by all, each one at a time and in batches of `fastest`.
        fastest: For folders.
        soonest: For single images.
    """

    device: Device
    files: str
    decode_ms: float
    rates: tuple[Rate, ...]
    latency_ms: Mapping[int, float]
    added: tuple[Added, ...]
    fastest: Choice
    soonest: Choice

    def to_json(self) -> dict[str, Any]:
        """A document of plain types."""
        return asdict(self)


def benchmark(
    path: Path,
    files: Iterable[Path] = (),
    *,
    provider: str = "auto",
    on_step: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure an artefact in about half a minute.

    Args:
        path: The artefact.
        files: Image files such as are to be scored, of which 256 at most are decoded; those that
            are none are passed over. Without any, built-in pictures are.
        provider: `auto`, `cpu`, `cuda`, `tensorrt` or `openvino`.
        on_step: Told what comes next.

    Raises:
        ArtifactError: If the file is no artefact or damaged.
        DataError: If no file can be decoded.
    """
    scorer = Scorer(path, provider=provider, threads=1, calibrated=False)
    counts = thread_counts(available_cores()) if scorer.provider == "cpu" else (1,)
    shares = len(_BATCH_SIZES) * len(counts) + len(counts) + 1 + _SHARES_OF_SCORES
    seconds = _TOTAL_S / shares
    on_step("decoding")
    chosen = list(islice(files, _MOST_FILES))
    decode_s = _decoding(chosen, scorer.metadata.preprocess, seconds)
    on_step("inference, by batch size and threads")
    rates = tuple(_rates(scorer, counts, seconds))
    on_step("latency, by threads")
    latency = {count: _latency(path, scorer.provider, count, seconds) for count in counts}
    best = fastest(rates, decode_s, on_cpu=scorer.provider == "cpu")
    on_step("each score alone")
    added = tuple(_added(scorer, (1, best.batch_size), _SHARES_OF_SCORES * seconds))
    enough = _WORTH_IT * min(latency.values())
    threads = min(count for count in counts if latency[count] <= enough)
    return Report(
        device=this_device(scorer.provider),
        files=_GIVEN if chosen else _BUILT_IN,
        decode_ms=1e3 * decode_s,
        rates=rates,
        latency_ms={count: 1e3 * value for count, value in latency.items()},
        added=added,
        fastest=best,
        soonest=Choice(1, threads, 1 / (decode_s + latency[threads])),
    )


def thread_counts(cores: int) -> tuple[int, ...]:
    """Powers of two below the number of cores, and that number."""
    return (*(2**power for power in range(cores.bit_length()) if 2**power < cores), cores)


def fastest(rates: Sequence[Rate], decode_s: float, *, on_cpu: bool) -> Choice:
    """The settings for a folder: few threads and small batches, unless more pay.

    Args:
        rates: Of inference alone. A batch of one image is a mode of its own and not chosen.
        decode_s: Core-seconds that decoding an image takes.
        on_cpu: Whether inference takes the cores that decode; a device of its own does not.
    """

    def choice(rate: Rate) -> Choice:
        if on_cpu:
            seconds = decode_s / rate.threads + 1 / rate.images_per_second
            return Choice(rate.batch_size, rate.threads, 1 / seconds)
        cores = available_cores()
        return Choice(rate.batch_size, cores, min(cores / decode_s, rate.images_per_second))

    choices = [choice(rate) for rate in rates if rate.batch_size > 1]
    enough = max(c.images_per_second for c in choices) / _WORTH_IT
    return min(
        (c for c in choices if c.images_per_second >= enough),
        key=lambda c: (c.threads, c.batch_size),
    )


def _decoding(files: Sequence[Path], preprocess: Preprocess, seconds: float) -> float:
    """Core-seconds of a file, the mean over those that there is time for."""
    if not files:
        with tempfile.TemporaryDirectory() as folder:
            return _decoding(list(_pictures(Path(folder))), preprocess, seconds)
    times: list[float] = []
    started = time.perf_counter()
    for tried, path in enumerate(cycle(files)):
        before = time.perf_counter()
        # All are tried until one can be decoded, however slow the first ones are.
        if tried and before > started + seconds and (times or tried >= len(files)):
            break
        try:
            with image_payload(path) as payload:
                preprocess.decode(payload, f"'{path}'")
        except DataError:
            continue
        times.append(time.perf_counter() - before)
    if not times:
        raise DataError(
            f"none of {len(files)} files can be decoded, the first is '{files[0]}'",
            hint="name a folder of images, or none for built-in ones",
        )
    return statistics.mean(times)


def _pictures(folder: Path) -> Iterator[Path]:
    """JPEGs with the detail of photographs: coarse blocks, smoothed, under noise."""
    generator = np.random.default_rng(0)
    for index in range(_BUILT_IN_COUNT):
        blocks = Image.fromarray(generator.integers(0, 256, (48, 64, 3), np.uint8))
        smooth = np.asarray(blocks.resize((512, 384), Image.Resampling.BICUBIC), np.float64)
        noisy = (smooth + generator.normal(0, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
        path = folder / f"{index}.jpg"
        Image.fromarray(noisy).save(path, quality=90)
        yield path


def _rates(scorer: Scorer, counts: Sequence[int], seconds: float) -> Iterator[Rate]:
    """Every batch size that does not take too long, with every number of inferences at once."""
    per_image = 0.0
    for size in _BATCH_SIZES:
        if size > 2 and size * per_image > _LONGEST_RUN_S:
            return
        task = _task(scorer, _frames(scorer, size))
        per_image = median_seconds(task, 0) / size
        for count in counts:
            runs = count * max(1, round(seconds / (size * per_image)))
            yield Rate(size, count, runs * size / _side_by_side(task, count, runs))


def _side_by_side(task: Callable[[], object], threads: int, runs: int) -> float:
    """Seconds for so many runs."""
    started = time.perf_counter()
    for _ in ordered_map(lambda _: task(), range(runs), threads=threads):
        pass
    return time.perf_counter() - started


def _latency(path: Path, provider: str, threads: int, seconds: float) -> float:
    """Median seconds of one frame."""
    scorer = Scorer(path, provider=provider, threads=threads, calibrated=False)
    return median_seconds(_task(scorer, _frames(scorer, 1)), seconds)


def _added(scorer: Scorer, batch_sizes: Sequence[int], seconds: float) -> Iterator[Added]:
    """What each score alone adds, then all of them, in about so many seconds."""
    models = variants(model_of(scorer.file), scorer.heads)
    _, bare = next(models)
    network = _session(scorer, bare)
    count = len(scorer.heads) + (len(scorer.heads) > 1)
    for names, model in models:
        session = _session(scorer, model)
        for size in batch_sizes:
            feed = {INPUT_NAME: _frames(scorer, size)}
            timed = time_added(
                partial(network.run, None, feed),
                partial(session.run, None, feed),
                seconds / (count * len(batch_sizes)),
            )
            yield Added(names, size, 1e6 * timed.added / size, 1e6 * timed.base / size)


def _session(scorer: Scorer, model: onnx.ModelProto) -> Any:
    return open_session(model.SerializeToString(), provider=scorer.provider, threads=1)


def _task(scorer: Scorer, frames: NDArray[np.uint8]) -> Callable[[], object]:
    return lambda: scorer.score_arrays(frames, batch_size=len(frames))


def _frames(scorer: Scorer, count: int) -> NDArray[np.uint8]:
    """Random images at network size."""
    size = scorer.metadata.preprocess.resized_px
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)
