"""Scoring on Ray: the local engine's table, whatever becomes of a node; refusals before work."""

import contextlib
import importlib.util
import os
import signal
import socket
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from edge_ood.api.attach import attach
from edge_ood.api.calibrate import calibrate
from edge_ood.attachment.reader import FedShare, Reader, feed
from edge_ood.errors import DataError, InputError
from edge_ood.files.input_files import InputFiles
from edge_ood.graph.assemble import assemble_reader
from edge_ood.images.folders import find_images, read_class_folders
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import Spec
from edge_ood.runtime.on_ray import Cluster, check_nodes, score_on_ray, workers_for
from edge_ood.runtime.scorer import Scorer
from edge_ood.scores import bind_head
from edge_ood.tables.merge import Shards
from edge_ood.tables.run_record import RunRecord
from edge_ood.tables.score_output import ScoreOutput
from edge_ood.tables.shard_tables import ShardTables
from edge_ood.tables.shards import Shard, ShardFiles
from edge_ood.tables.stored_output import local_tables

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="no ray here")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # Ray's own, of its options
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
BATCH = 4
OWN = metadata.version("edge-ood")


def files_of(folder: Path, shard: Shard, batch_size: int) -> ShardFiles:
    return ShardFiles(InputFiles([folder]), shard, batch_size)


def record_of(scorer: Scorer, table: str = "csv") -> RunRecord:
    return RunRecord(
        OWN, scorer.file.sha256, "cpu", table, scorer.heads, BATCH, ("images",), "", Shard()
    )


def score_here(scorer: Scorer, folder: Path, output: Path) -> None:
    """The local engine, in this process."""
    record, files = record_of(scorer), files_of(folder, Shard(), BATCH)
    with ScoreOutput(output, "csv").open(record, resume=False) as table:
        for row in scorer.stream(table.rest(files), batch_size=BATCH):
            table.write(row)
        table.finish(files.total, files.digest)


def merge(tables: ShardTables, output: Path) -> None:
    paths = [Path(tables.name(index)) for index in range(1, tables.count + 1)]
    shards = Shards(paths)
    shards.check()
    shards.write(ScoreOutput(output, "csv"))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """61 files, one of which is no image."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(60):
        Image.new("RGB", (16, 16), (4 * number, 90, 250 - 4 * number)).save(
            folder / f"{number:02}.png"
        )
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.mark.parametrize(
    ("said", "shown"), [("0.0.1", "has edge-ood 0.0.1"), ("missing: No onnx", "missing: No onnx")]
)
def test_a_node_that_cannot_work_is_named(said: str, shown: str) -> None:
    """What it has, what is here, and what to type."""
    with pytest.raises(InputError, match="node 10") as refused:
        check_nodes({"10.0.0.1": OWN, "10.0.0.2": said})

    assert shown in str(refused.value)
    assert OWN in str(refused.value)
    assert f"edge-ood[ray,cpu]=={OWN}" in str(refused.value.hint)


def test_nodes_of_one_version_may_work() -> None:
    """Any number of them."""
    check_nodes({f"10.0.0.{n}": OWN for n in range(9)})


def test_workers_fill_the_cluster() -> None:
    """By cores, or by accelerators."""
    assert 5 == workers_for({"CPU": 11.0, "GPU": 2.0}, Cluster(cores_per_worker=2))
    assert 2 == workers_for({"CPU": 11.0, "GPU": 2.0}, Cluster(provider="cuda"))
    assert 1 == workers_for({}, Cluster(cores_per_worker=8))


@needs_ray
def test_an_address_where_nobody_is_is_refused_soon(
    colour_artifact: Path, images: Path, tmp_path: Path
) -> None:
    """Before Ray looks for a cluster there, which takes a minute."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        tables = ShardTables(str(tmp_path / "shards"), record_of(Scorer(colour_artifact)), 1)

        with pytest.raises(InputError, match="no Ray cluster at") as refused:
            list(score_on_ray(colour_artifact, partial(files_of, images), tables, Cluster(address)))

    assert "ray start --head" in str(refused.value.hint)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A bucket that all processes know of; they do not know of this module's helpers."""
    from object_store import serving_store

    with pytest.MonkeyPatch.context() as patch, serving_store(patch.setenv) as found:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield found


@pytest.fixture(scope="module")
def local_ray(store: Any) -> Iterator[Any]:
    """Ray in processes of this machine, for all tests of the module."""
    ray = pytest.importorskip("ray")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield ray
    ray.shutdown()


@needs_ray
def test_shards_on_ray_make_the_local_table(
    local_ray: Any, colour_artifact: Path, images: Path, tmp_path: Path
) -> None:
    """Byte for byte; what is finished stays, and only what is missing is scored again."""
    scorer = Scorer(colour_artifact)
    score_here(scorer, images, tmp_path / "whole.csv")
    tables = ShardTables(str(tmp_path / "shards"), record_of(scorer), 5)
    tables.check(resume=False)
    files = partial(files_of, images)

    found = list(score_on_ray(colour_artifact, files, tables, Cluster("local", 2)))
    kept = Path(tables.name(2)).stat().st_mtime_ns
    Path(tables.name(4)).unlink()
    again = list(score_on_ray(colour_artifact, files, tables, Cluster("local", 2)))
    merge(tables, tmp_path / "merged.csv")

    assert {1, 2, 3, 4, 5} == {tallied.shard for tallied in found}
    assert 60 == sum(tallied.statuses["ok"] for tallied in found)
    assert [4] == [tallied.shard for tallied in again]
    assert kept == Path(tables.name(2)).stat().st_mtime_ns
    for ending in ("", ".run.json"):
        whole = (tmp_path / f"whole.csv{ending}").read_bytes()
        assert whole == (tmp_path / f"merged.csv{ending}").read_bytes()


@needs_ray
def test_shards_go_to_a_store(
    local_ray: Any, store: Any, colour_artifact: Path, images: Path, tmp_path: Path
) -> None:
    """Each as its worker finishes it; what is not there is scored, and a new run clears."""
    scorer, folder = Scorer(colour_artifact), "s3://photos/run"
    score_here(scorer, images, tmp_path / "whole.csv")
    files, cluster = partial(files_of, images), Cluster("local", 2)
    tables = ShardTables(folder, record_of(scorer), 3)
    tables.check(resume=False)

    found = list(score_on_ray(colour_artifact, files, tables, cluster))
    store.client.delete_object(Bucket="photos", Key="run/00002-of-00003.csv.run.json")
    again = list(score_on_ray(colour_artifact, files, tables, cluster))
    with local_tables([f"{folder}/*.csv"]) as paths:
        Shards(paths).write(ScoreOutput(tmp_path / "merged.csv", "csv"))

    assert {1, 2, 3} == {tallied.shard for tallied in found}
    assert [2] == [tallied.shard for tallied in again]
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "merged.csv").read_bytes()
    with pytest.raises(InputError, match="'s3://photos/run' exists"):
        tables.check(resume=False)
    ShardTables.clear(folder)
    assert not store.names()


@needs_ray
def test_a_run_with_other_options_is_not_gone_on_with(
    local_ray: Any, colour_artifact: Path, images: Path, tmp_path: Path
) -> None:
    """The number of shards is that of the run that was begun; the heads have to be."""
    scorer = Scorer(colour_artifact)
    tables = ShardTables(str(tmp_path / "shards"), record_of(scorer), 3)
    tables.check(resume=False)
    list(score_on_ray(colour_artifact, partial(files_of, images), tables, Cluster("local", 1)))

    assert 3 == ShardTables(str(tmp_path / "shards"), record_of(scorer), 7).count
    other = record_of(Scorer(colour_artifact, heads=[scorer.metadata.primary]))
    with pytest.raises(InputError, match="--scores was"):
        list(ShardTables(str(tmp_path / "shards"), other, 3).finished())
    with pytest.raises(InputError, match="exists"):
        tables.check(resume=False)


def no_files(shard: Shard, batch_size: int) -> ShardFiles:
    raise DataError("the disk is gone", hint="mount it")


def a_fault(shard: Shard, batch_size: int) -> ShardFiles:
    raise RuntimeError("a fault\nin two lines")


@needs_ray
@pytest.mark.parametrize(
    ("files", "message"),
    [(no_files, "shard 1: the disk is gone"), (a_fault, "the cluster could not go on: .*")],
)
def test_what_goes_wrong_elsewhere_is_one_line_here(
    local_ray: Any, colour_artifact: Path, tmp_path: Path, files: Any, message: str
) -> None:
    """Nobody reads the traces of five processes."""
    tables = ShardTables(str(tmp_path / "shards"), record_of(Scorer(colour_artifact)), 1)
    tables.check(resume=False)

    with pytest.raises(InputError, match=message) as refused:
        list(score_on_ray(colour_artifact, files, tables, Cluster("local", 1)))

    assert "\n" not in str(refused.value)


@needs_ray
def test_thresholds_of_a_cluster_are_those_of_one_machine(
    local_ray: Any, colour_artifact: Path, colours: Path, tmp_path: Path
) -> None:
    """Equal, not close: of a folder, and of tar shards, each of which one worker reads."""
    paths = find_images(colours / "calibration")
    for number in range(3):
        with tarfile.open(tmp_path / f"x-{number}.tar", "w") as shard:
            for path in paths[number::3]:
                shard.add(path, f"{path.parent.name}-{path.name}")
    of_folder = {"images": colours / "calibration"}
    of_shards = {"images": [str(tmp_path / "x-{0..2}.tar")]}

    decisions = []
    for number, (source, cluster) in enumerate(
        [(of_folder, None), (of_folder, Cluster("local", 2)), (of_shards, None),
         (of_shards, Cluster("local", 2))]
    ):  # fmt: skip
        output = tmp_path / f"{number}.onnx"
        calibrate(colour_artifact, **source, output=output, cluster=cluster, provider="cpu")
        metadata = Scorer(output).metadata
        decisions.append(
            (metadata.calibration.thresholds, metadata.manifests["calibration"].hashes)
        )

    assert decisions[0] == decisions[1]
    assert decisions[2] == decisions[3]
    assert decisions[0][1] == decisions[2][1]


@needs_ray
def test_statistics_of_a_cluster_are_those_of_one_machine(
    local_ray: Any, colour_classifier: Any, colours: Path, tmp_path: Path
) -> None:
    """Merged from shares: to 1e-10; thresholds are equal where no statistic is behind them."""
    onnx.save(colour_classifier, tmp_path / "plain.onnx")
    found = []
    for name, cluster in (("here", None), ("there", Cluster("local", 2))):
        attach(
            tmp_path / "plain.onnx",
            tmp_path / f"{name}.onnx",
            id=colours / "train",
            calibration=colours / "calibration",
            scores="energy,mahalanobis,react,gen",
            pixels="unit",
            provider="cpu",
            cluster=cluster,
        )
        found.append(tmp_path / f"{name}.onnx")

    here, there = (onnx.load(path) for path in found)
    one, other = (Scorer(path).metadata.calibration.thresholds for path in found)
    assert one["energy"] == other["energy"]
    assert one["gen"] == other["gen"]
    arrays = [
        {i.name: onnx.numpy_helper.to_array(i) for i in m.graph.initializer} for m in (here, there)
    ]
    assert arrays[0].keys() == arrays[1].keys()
    for name, array in arrays[0].items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(array, arrays[1][name], rtol=3e-7, atol=1e-7, err_msg=name)


def test_a_share_of_a_pass_merges_to_the_pass(colour_classifier: Any, colours: Path) -> None:
    """Means and covariances of shares of any number, in float64: Chan's update, to 1e-10."""
    heads = [bind_head(Spec(name)) for name in ("mahalanobis", "knn")]
    training = read_class_folders(colours / "train")
    reader = Reader(
        assemble_reader(colour_classifier, Preprocess(16)).SerializeToString(),
        Preprocess(16), "cpu", 0.0,
    )  # fmt: skip

    def made() -> tuple[Any, ...]:
        return tuple(head.accumulator(3, None) for head in heads)

    whole = made()
    feed(reader.outputs(training), whole)
    merged = made()
    for index in range(3):
        share = FedShare(reader, str(Path.cwd()), training, made(), 1)(index, 3)
        for accumulator, other in zip(merged, share, strict=True):
            accumulator.merge(other)

    for one, other in zip(whole, merged, strict=True):
        expected, found = one.finish(), other.finish()
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, rtol=1e-10, atol=1e-10, err_msg=name)


@needs_ray
@pytest.mark.slow
def test_a_node_that_is_killed_costs_no_row(
    colour_artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes score 3,000 images; one is killed amid them: every row once, the same bytes."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster as Nodes

    ray.shutdown()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3000):
        colour = (number % 256, number // 256, 90)
        Image.new("RGB", (16, 16), colour).save(folder / f"{number:04}.png")
    scorer = Scorer(colour_artifact)
    score_here(scorer, folder, tmp_path / "whole.csv")
    tables = ShardTables(str(tmp_path / "shards"), record_of(scorer), 30)
    tables.check(resume=False)
    nodes = Nodes(initialize_head=True, head_node_args={"num_cpus": 1})
    lost = nodes.add_node(num_cpus=1)
    processes = [info.process.pid for infos in lost.all_processes.values() for info in infos]
    processes += [
        info.process.pid for infos in nodes.head_node.all_processes.values() for info in infos
    ]
    try:
        ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
        found = []
        for tallied in score_on_ray(
            colour_artifact, partial(files_of, folder), tables, Cluster(nodes.address, 2)
        ):
            found.append(tallied)
            if len(found) == 3:
                lost.kill_raylet()
        merge(tables, tmp_path / "merged.csv")
    finally:
        _end(ray, nodes, processes)

    assert sorted(tallied.shard for tallied in found) == list(range(1, 31))
    assert (tmp_path / "whole.csv").read_bytes() == (tmp_path / "merged.csv").read_bytes()


def _end(ray: Any, nodes: Any, processes: list[int]) -> None:
    """Ray's own shutdown may hang where a node was killed; so it gets a while."""

    def shutdown() -> None:
        with contextlib.suppress(Exception):
            ray.shutdown()
            nodes.shutdown()

    thread = threading.Thread(target=shutdown, daemon=True)
    thread.start()
    thread.join(20)
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
