"""Scoring on a Ray cluster: the shards of a run, each written by whichever node has time for it.

    the driver          deals the run into shards, as `--shard` does, and counts what comes back
    Ray Data            one actor for each worker; what a lost node had, another one gets
    an actor            a `Scorer`, which writes tables of shards with the local engine's writer

A shard is finished when its table bears its name, so a shard that is scored twice is written with
the same bytes, and what is finished is not scored again. Image files have to be where all nodes see
them, at the same path; the artefact travels with the work.
"""

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from edge_ood.artifact.outputs import Scores
from edge_ood.errors import DataError, EdgeOodError, InputError, MissingDependencyError
from edge_ood.files.regular import read_regular
from edge_ood.files.stored import AnyImage
from edge_ood.runtime.ray_workers import BatchScores, Cluster, Files, Place, ShardScorer
from edge_ood.runtime.scorer import Scorer
from edge_ood.tables.shard_tables import ShardTables, Tallied

__all__ = [
    "SHARDS_PER_WORKER",
    "Cluster",
    "ScoredOnRay",
    "check_nodes",
    "connected",
    "on_workers",
    "score_on_ray",
    "workers_for",
]

Result = TypeVar("Result")

_ANSWER_S = 5.0

SHARDS_PER_WORKER = 4
"""More even out shards that take longer; fewer read a listing less often."""


def score_on_ray(
    artifact: Path,
    files: Files,
    tables: ShardTables,
    cluster: Cluster,
    *,
    done: Collection[int] | None = None,
) -> Iterator[Tallied]:
    """Score all shards that are not finished, and give what each came to, as it is done.

    Args:
        artifact: Read here, and sent to the nodes.
        files: Of a shard; it is pickled, and called where the shard is scored.
        tables: Where they go.
        cluster: Whose nodes do the work.
        done: Shards that are finished, where somebody has looked already.

    Raises:
        InputError: If a node lacks what it takes, or has another version of edge-ood.
        MissingDependencyError: If Ray is not installed.
    """
    ray = _ray()
    if done is None:
        done = {tallied.shard for tallied in tables.finished()}
    waiting = [index for index in range(1, tables.count + 1) if index not in done]
    if not waiting:
        return
    with _connected(ray, cluster):
        check_nodes(_versions(ray))
        place = Place((ray.put(read_regular(artifact)),), cluster, str(Path.cwd()))
        workers = cluster.workers or workers_for(ray.cluster_resources(), cluster)
        scored = ray.data.from_items(
            [{"shard": index} for index in waiting], override_num_blocks=len(waiting)
        ).map_batches(
            ShardScorer,
            fn_constructor_args=(place, files, tables),
            batch_size=1,
            concurrency=min(workers, len(waiting)),
            num_cpus=cluster.cores_per_worker,
            num_gpus=0 if cluster.provider == "cpu" else 1,
        )
        for row in _rows(ray, scored):
            if row["error"]:
                raise InputError(f"shard {row['shard']}: {row['error']}", hint=row["hint"])
            statuses = dict(zip(row["statuses"], map(int, row["counts"]), strict=True))
            yield Tallied(int(row["shard"]), statuses, int(row["flagged"]))


def _rows(ray: Any, scored: Any) -> Iterator[Mapping[str, Any]]:
    """What comes back, or one line of what went wrong on the cluster."""
    try:
        yield from scored.iter_rows()
    except (ray.exceptions.RayError, ray.data.exceptions.SystemException) as error:
        raise _cannot_go_on(error) from error


def check_nodes(found: Mapping[str, str]) -> None:
    """Refuse a cluster some of whose nodes cannot do the work, before it starts.

    Args:
        found: By node, its version of edge-ood, or what kept it from being imported.

    Raises:
        InputError: Naming the node, what it has, and what is here.
    """
    own = metadata.version("edge-ood")
    for node, said in sorted(found.items()):
        if said != own:
            raise InputError(
                f"node {node} has edge-ood {said}, this machine has {own}",
                hint=f"pip install 'edge-ood[ray,cpu]=={own}' on every node",
            )


def workers_for(resources: Mapping[str, float], cluster: Cluster) -> int:
    """As many as the cluster has cores or accelerators for, one at least."""
    if cluster.provider != "cpu":
        return max(1, int(resources.get("GPU", 0)))
    return max(1, int(resources.get("CPU", 1)) // cluster.cores_per_worker)


@dataclass(frozen=True)
class ScoredOnRay:
    """Images whose scores are wanted in one place, such as those that calibrate.

    Attributes:
        files: In order. They are pickled, so archives are named, and read where they are scored.
        cluster: Whose nodes score them.
    """

    files: Iterable[AnyImage]
    cluster: Cluster

    def scores(self, scorer: Scorer, batch_size: int) -> Scores:
        """All scores, in the order of the files and with the bits of the local engine.

        Raises:
            DataError: If an image cannot be read.
            InputError: If a node lacks what it takes.
        """
        artifact = read_regular(scorer.path)
        task = BatchScores(artifact, self.cluster.provider, str(Path.cwd()), self.files, batch_size)
        found = [iter(deals) for deals in on_workers(self.cluster, task)]
        parts: list[Scores] = []
        while dealt := [deal for share in found if (deal := next(share, None)) is not None]:
            parts += dealt
        if not parts:
            raise DataError("no images to score", hint="check the path")
        joined = Scores.joined(parts, [each for part in parts for each in part.hashes])
        return replace(joined, paths=tuple(path for part in parts for path in part.paths))


def on_workers(cluster: Cluster, task: Callable[[int, int], Result]) -> list[Result]:
    """Do one task on every worker of a cluster.

    Args:
        cluster: Whose nodes do the work.
        task: It is pickled; `task(index, count)` gets the worker's number, from 0, and how many
            there are.

    Returns:
        What the workers found, in their order.

    Raises:
        EdgeOodError: That of the first worker that has one.
        InputError: If a node lacks what it takes, or the cluster cannot go on.
    """
    ray = _ray()
    with _connected(ray, cluster):
        check_nodes(_versions(ray))
        count = cluster.workers or workers_for(ray.cluster_resources(), cluster)
        accelerators = 0 if cluster.provider == "cpu" else 1
        work = ray.remote(num_cpus=cluster.cores_per_worker, num_gpus=accelerators)(_call)
        sent = ray.put(task)
        try:
            return list(ray.get([work.remote(sent, index, count) for index in range(count)]))
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, EdgeOodError):
                raise error.cause from None
            raise _cannot_go_on(error) from error
        except ray.exceptions.RayError as error:
            raise _cannot_go_on(error) from error


def _call(task: Callable[[int, int], Result], index: int, count: int) -> Result:
    return task(index, count)


def _cannot_go_on(error: Exception) -> InputError:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return InputError(
        f"the cluster could not go on: {lines[-1].strip() if lines else type(error).__name__}",
        hint="what is finished stays, and --resume goes on; 'ray status' shows the cluster",
    )


@contextlib.contextmanager
def connected(cluster: Cluster | None) -> Iterator[None]:
    """Stay with a cluster for several pieces of work, which else connect one by one.

    Args:
        cluster: None for no cluster at all.

    Raises:
        InputError: If it cannot be reached.
        MissingDependencyError: If Ray is not installed.
    """
    if cluster is None:
        yield
        return
    with _connected(_ray(), cluster):
        yield


@contextlib.contextmanager
def _connected(ray: Any, cluster: Cluster) -> Iterator[None]:
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if cluster.address == "local":
        options |= {"num_cpus": len(os.sched_getaffinity(0)), "include_dashboard": False}
    else:
        options |= {"address": cluster.address}
    already = ray.is_initialized()
    try:
        if not already:
            _check_answers(cluster.address)
            ray.init(**options)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"no Ray cluster at '{cluster.address}': {reason}",
            hint="--address local starts one here; 'ray start --head' one that stays",
        ) from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        if not already:
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Refuse an address where nobody listens, for which Ray looks for a minute."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()


def _versions(ray: Any) -> dict[str, str]:
    """What each node answers."""
    from ray.util.scheduling_strategies import (  # noqa: PLC0415  # optional
        NodeAffinitySchedulingStrategy,
    )

    def asked(node: str) -> Any:
        strategy = NodeAffinitySchedulingStrategy(node, soft=False)
        return ray.remote(num_cpus=0)(_own_version).options(scheduling_strategy=strategy).remote()

    alive = {each["NodeID"]: each["NodeManagerAddress"] for each in ray.nodes() if each["Alive"]}
    answers = {node: asked(node) for node in alive}
    return {f"{alive[node]} ({node[:8]})": ray.get(answer) for node, answer in answers.items()}


def _own_version() -> str:
    try:
        import onnxruntime  # noqa: F401, PLC0415

        return metadata.version("edge-ood")
    except (ImportError, metadata.PackageNotFoundError) as error:
        return f"missing: {error}"


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it warns of what Ray Data does itself
    try:
        import ray  # noqa: PLC0415  # optional
        import ray.data  # noqa: PLC0415  # optional
    except ImportError as error:
        raise MissingDependencyError("scoring on a cluster", "ray", "ray") from error
    return ray
