"""What `edge-ood bench` measures: every figure is there, and the suggestion follows from them."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from edge_ood.errors import DataError
from edge_ood.images.folders import find_images
from edge_ood.runtime import benchmark as module
from edge_ood.runtime.benchmark import Choice, Rate, benchmark, fastest, thread_counts
from edge_ood.runtime.timing import TimeAdded
from edge_ood.threads import available_cores


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """As few runs as possible."""
    monkeypatch.setattr(module, "_TOTAL_S", 0.01)


@pytest.mark.parametrize(
    ("cores", "expected"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (4, (1, 2, 4)), (12, (1, 2, 4, 8, 12))],
)
def test_thread_counts_end_with_all_cores(cores: int, expected: Sequence[int]) -> None:
    """Powers of two before."""
    assert expected == thread_counts(cores)


def test_the_fastest_counts_decoding() -> None:
    """On the CPU both take cores: 1 / (0.01 / 2 + 1 / 200) is 100 images/s."""
    rates = [Rate(1, 2, 999.0), Rate(4, 1, 100.0), Rate(4, 2, 200.0), Rate(8, 2, 150.0)]

    assert Choice(4, 2, pytest.approx(100)) == fastest(rates, 0.01, on_cpu=True)


def test_little_gain_is_worth_nothing() -> None:
    """A hundredth more speed is no reason for twice the threads or a larger batch."""
    rates = [Rate(2, 1, 100.0), Rate(2, 2, 101.0), Rate(8, 1, 101.5), Rate(8, 2, 101.9)]

    chosen = fastest(rates, 0.0, on_cpu=True)

    assert (2, 1) == (chosen.batch_size, chosen.threads)


@pytest.mark.parametrize(("decode_s", "expected"), [(1e-9, 5000.0), (1.0, 8.0)])
def test_a_device_of_its_own_leaves_the_cores_to_decoding(
    monkeypatch: pytest.MonkeyPatch, decode_s: float, expected: float
) -> None:
    """The slower of the two decides: the device, or eight cores at a second an image."""
    monkeypatch.setattr(module, "available_cores", lambda: 8)
    rates = [Rate(8, 1, 1000.0), Rate(32, 1, 5000.0)]

    chosen = fastest(rates, decode_s, on_cpu=False)

    assert (8, pytest.approx(expected)) == (chosen.threads, chosen.images_per_second)


def test_a_report_is_complete(colour_artifact: Path, colours: Path) -> None:
    """A figure for every batch size and number of threads, and two for every score."""
    steps: list[str] = []

    report = benchmark(
        colour_artifact, find_images(colours / "test"), provider="cpu", on_step=steps.append
    )

    counts = thread_counts(available_cores())
    assert [(b, t) for b in (1, 2, 4, 8, 16, 32) for t in counts] == [
        (rate.batch_size, rate.threads) for rate in report.rates
    ]
    assert counts == tuple(report.latency_ms)
    scores = ("energy", "msp", "uniform_ce")
    assert [
        (names, size)
        for names in (*((score,) for score in scores), scores)
        for size in (1, report.fastest.batch_size)
    ] == [(added.scores, added.batch_size) for added in report.added]
    assert "cpu" == report.device.provider
    assert 4 == len(steps)
    figures = [report.decode_ms, *report.latency_ms.values()]
    figures += [rate.images_per_second for rate in report.rates]
    figures += [added.network_us for added in report.added]
    assert all(math.isfinite(figure) and figure > 0 for figure in figures)
    assert min(added.added_us for added in report.added) >= 0
    assert (1, True) == (report.soonest.batch_size, report.fastest.batch_size > 1)


def test_scores_are_measured_against_the_network_without_them(
    colour_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here what a run gives is its seconds: 2 outputs of the network, 3 a score, 2 of the first."""

    def counted(
        base: Callable[[], list[object]], whole: Callable[[], list[object]], seconds: float
    ) -> TimeAdded:
        return TimeAdded(len(base()), len(whole()) - len(base()))

    monkeypatch.setattr(module, "time_added", counted)

    report = benchmark(colour_artifact, provider="cpu")

    found = {(each.scores, each.batch_size): each for each in report.added}
    for size in (1, report.fastest.batch_size):
        alone, together = found[("msp",), size], found[("energy", "msp", "uniform_ce"), size]
        assert 2e6 == pytest.approx(size * alone.network_us)
        assert 5e6 == pytest.approx(size * alone.added_us)
        assert 11e6 == pytest.approx(size * together.added_us)


def test_large_batches_of_slow_networks_are_left_out(
    colour_artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would take minutes is not tried, but for the smallest batch there is."""
    monkeypatch.setattr(module, "_LONGEST_RUN_S", 0.0)

    report = benchmark(colour_artifact, provider="cpu")

    assert {1, 2} == {rate.batch_size for rate in report.rates}


def test_files_that_are_no_images_are_passed_over(
    colour_artifact: Path, colours: Path, tmp_path: Path
) -> None:
    """Unless there is nothing else."""
    (broken := tmp_path / "broken.png").write_bytes(b"no image")
    image = find_images(colours / "test")[0]

    assert benchmark(colour_artifact, [broken, image], provider="cpu").decode_ms > 0
    with pytest.raises(DataError, match="none of 2 files can be decoded"):
        benchmark(colour_artifact, [broken, broken], provider="cpu")
