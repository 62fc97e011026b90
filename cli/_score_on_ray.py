"""`edge-ood score --engine ray`: the driver's side on a terminal."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_ood.cli._bundles import bundle
from edge_ood.cli._errors import sigterm_interrupts
from edge_ood.cli._say import say
from edge_ood.cli._score_inputs import ScoreInputs
from edge_ood.errors import InputError
from edge_ood.files.text import printable
from edge_ood.threads import available_cores

if TYPE_CHECKING:
    from edge_ood.runtime.on_ray import Cluster
    from edge_ood.tables.shard_tables import Tallied

__all__ = ["ClusterRun", "Engine", "ShardingEngine"]

LOCAL, RAY = ENGINES = ("local", "ray")


@bundle("Past one machine")
class Engine:
    """What does the work."""

    engine: Annotated[
        str,
        typer.Option(
            metavar="local|ray",
            help="ray scores on the nodes of a cluster; needs edge-ood[ray] on all of them, and "
            "files where all see them. 'score' writes a folder of tables then, which 'merge' "
            "joins.",
        ),
    ] = LOCAL
    address: Annotated[
        str,
        typer.Option(
            metavar="auto|local|ADDRESS",
            help="auto: the cluster that this machine is in; local: one for this run, here; or "
            "that of a head, such as ray://host:10001.",
        ),
    ] = "auto"
    workers: Annotated[
        int, typer.Option(min=0, help="Of the cluster; 0: as many as it has cores for.")
    ] = 0
    cores_per_worker: Annotated[int, typer.Option(min=1, help="Of each worker.")] = 1

    @property
    def runs_elsewhere(self) -> bool:
        """Whether it is not this process that scores."""
        if self.engine not in ENGINES:
            raise InputError(
                f"there is no engine {self.engine!r}", hint=f"one of {', '.join(ENGINES)}"
            )
        return self.engine == RAY

    def cluster(self, provider: str) -> "Cluster":
        """Where it is done then."""
        from edge_ood.runtime.on_ray import Cluster

        return Cluster(self.address, self.workers, self.cores_per_worker, provider)

    def cluster_or_none(self, provider: str) -> "Cluster | None":
        """Where it is done then; None for here."""
        if not self.runs_elsewhere:
            return None
        return self.cluster("cpu" if provider == "auto" else provider)


@bundle("Past one machine")
class ShardingEngine(Engine):
    """What does the work, and into how many tables."""

    shards: Annotated[
        int,
        typer.Option(min=0, help="Tables in OUTPUT, each the work of one worker; 0: 4 a worker."),
    ] = 0


@dataclass(frozen=True)
class ClusterRun:
    """What is to be scored on a cluster; as the options of `edge-ood score` have it."""

    artifact: Path
    paths: Sequence[str]
    output: str | None
    table_format: str | None
    scores: str | None
    batch_size: int
    provider: str

    def score(
        self, engine: ShardingEngine, *, resume: bool, force: bool, unsupported: Mapping[str, Any]
    ) -> int:
        """Score all shards, and say how far it is.

        Args:
            engine: As asked for.
            resume: Go on with the tables that are there.
            force: Replace them.
            unsupported: Options that only one machine has, and whether they were given.

        Returns:
            How many images were flagged.
        """
        from edge_ood.runtime.on_ray import SHARDS_PER_WORKER, score_on_ray
        from edge_ood.runtime.scorer import Scorer
        from edge_ood.tables.shard_tables import ShardTables
        from edge_ood.tables.shards import Shard

        for option, given in unsupported.items():
            if given:
                raise typer.BadParameter(f"{option} is for --engine {LOCAL}")
        if resume and force:
            raise InputError("--resume continues a run and --force replaces it", hint="choose one")
        output, chosen = self._folder_and_format()
        heads = None if self.scores is None else [name.strip() for name in self.scores.split(",")]
        scorer = Scorer(self.artifact, provider=self.provider, heads=heads)
        inputs = ScoreInputs(self.paths, skip=(Path(output),))
        record = inputs.record(scorer, inputs.of_shard(Shard(), self.batch_size), chosen)
        if force:
            ShardTables.clear(output)
        count = engine.shards or SHARDS_PER_WORKER * (engine.workers or available_cores())
        tables = ShardTables(output, record, count)
        tables.check(resume=resume)
        earlier = list(tables.finished())
        with sigterm_interrupts():
            cluster = engine.cluster(scorer.provider)
            done = {tallied.shard for tallied in earlier}
            found = score_on_ray(self.artifact, inputs.of_shard, tables, cluster, done=done)
            statuses, flagged = _tally(earlier, found, tables.count)
        words = ", ".join(f"{n} {printable(s)}" for s, n in sorted(statuses.items()) if s != "ok")
        say(
            f"{statuses.total()} files: {flagged} flagged as out-of-distribution"
            f"{words and ', ' + words}; next: edge-ood merge {output}/*{tables.ending} -o TABLE",
            err=True,
        )
        return flagged

    def _folder_and_format(self) -> tuple[str, str]:
        from edge_ood.tables.formats import FORMATS

        if self.output is None:
            raise typer.BadParameter(f"--engine {RAY} writes a folder of tables: -o FOLDER")
        named = Path(self.output)
        ending = named.suffix.lower()
        if any(ending in endings for endings in FORMATS.values()):
            raise InputError(
                f"'{self.output}' is a table, and --engine {RAY} writes a folder of them",
                hint=f"-o {named.stem} --format {ending[1:]}",
            )
        chosen = self.table_format or "parquet"
        if chosen not in FORMATS:
            raise InputError(f"there is no format {chosen!r}", hint=f"one of {', '.join(FORMATS)}")
        return self.output, chosen


def _tally(
    earlier: "Sequence[Tallied]", found: "Iterable[Tallied]", count: int
) -> tuple[Counter[str], int]:
    """Count what comes back, with a line on the terminal for each shard."""
    started = time.monotonic()
    statuses = sum((Counter(tallied.statuses) for tallied in earlier), Counter[str]())
    flagged, done = sum(tallied.flagged for tallied in earlier), len(earlier)
    before, first = statuses.total(), done
    try:
        for tallied in found:
            statuses.update(tallied.statuses)
            flagged += tallied.flagged
            done += 1
            seconds = max(time.monotonic() - started, 1e-9)
            rate = (statuses.total() - before) / seconds
            left = seconds / (done - first) * (count - done)
            say(
                f"shard {done} of {count}: {statuses.total():,} images, {rate:,.0f}/s,"
                f" {timedelta(seconds=round(left))} left",
                err=True,
            )
    except KeyboardInterrupt as stop:
        told = f"{done} of {count} shards are done, and --resume goes on with the rest"
        raise type(stop)(told) from None
    return statuses, flagged
