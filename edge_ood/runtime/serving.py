"""An artefact behind HTTP: images in, rows out.

    POST /score     one image as the body, or several as a form     rows, a JSON object a line
    GET  /health    whether it answers, and by which file
    GET  /metrics   for Prometheus

A thread for each core scores what waits, up to eight images at a time. So many requests wait as are
allowed, and the next one is told at once to come again: a queue without end answers nobody in time.
"""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any

from edge_ood.artifact.outputs import Row
from edge_ood.errors import MissingDependencyError
from edge_ood.files.stored import StoredImage
from edge_ood.runtime.request_images import TooLargeError, images_of
from edge_ood.runtime.scorer import BATCH, Scorer
from edge_ood.tables.formats import text_format
from edge_ood.threads import available_cores

__all__ = ["Limits", "create_app"]

_DONE, _MALFORMED, _FORBIDDEN, _LATE, _TOO_LARGE, _UNREADABLE, _BUSY = (
    200,
    400,
    401,
    408,
    413,
    422,
    503,
)
_LATENCIES_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_PVALUES = (0.001, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1)


@dataclass(frozen=True)
class Limits:
    """What a service takes upon itself.

    Attributes:
        body_bytes: Of one request.
        waiting: Requests that may wait for a core; the next one is answered with 503.
        seconds: That a request may take, with the time in which its body arrives.
        token: What `Authorization: Bearer` has to say; empty lets everybody in.
    """

    body_bytes: int = 32 << 20
    waiting: int = 64
    seconds: float = 30.0
    token: str = ""


def create_app(scorer: Scorer, limits: Limits = Limits()) -> Any:
    """An ASGI application, for any server that runs these.

    Args:
        scorer: With one thread for each inference.
        limits: See there.

    Raises:
        MissingDependencyError: If FastAPI or prometheus-client is not installed.
    """
    _check_installed()
    from fastapi import FastAPI, Request, Response  # noqa: PLC0415  # optional
    from prometheus_client import generate_latest  # noqa: PLC0415  # optional
    from starlette.formparsers import MultiPartException  # noqa: PLC0415  # optional

    desk = _Desk(scorer, limits, malformed=(MultiPartException, ValueError))

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        yield
        desk.close()

    # Its pages of documentation load scripts from elsewhere.
    app = FastAPI(title="edge-ood", docs_url=None, redoc_url=None, lifespan=lifespan)

    def response(answer: _Answer) -> Any:
        return Response(answer.body, answer.status, answer.headers, media_type=answer.media)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return desk.health()

    @app.get("/metrics")
    async def metrics(request: Request) -> Any:
        if not desk.admits(request.headers):
            return response(_STRANGER)
        return Response(generate_latest(desk.registry), media_type="text/plain; version=0.0.4")

    async def score(request: Request) -> Any:
        return response(await desk.answer(request))

    # Not as FastAPI's own, which looks for parameters in each request, of which there are none.
    app.add_route("/score", score, methods=["POST"])
    return app


def _check_installed() -> None:
    for name in ("fastapi", "prometheus_client", "python_multipart"):
        if find_spec(name) is None:
            raise MissingDependencyError("serving", name, "serve")


@dataclass(frozen=True)
class _Answer:
    """What goes back: status, body, headers and media type."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    media: str = "application/json"


def _refusal(status: int, error: str, headers: Mapping[str, str] = MappingProxyType({})) -> _Answer:
    return _Answer(status, json.dumps({"error": error}) + "\n", dict(headers))


_STRANGER = _refusal(_FORBIDDEN, "no such token", {"WWW-Authenticate": "Bearer"})


_Waiting = list[tuple[StoredImage, "asyncio.Future[Row]"]]


class _Desk:
    """What requests share: cores, who waits, and what is counted."""

    def __init__(
        self, scorer: Scorer, limits: Limits, *, malformed: tuple[type[Exception], ...]
    ) -> None:
        from prometheus_client import (  # noqa: PLC0415  # optional
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
            Info,
        )

        self._scorer, self._limits, self._malformed = scorer, limits, malformed
        self._cores = available_cores()
        self._pool = ThreadPoolExecutor(self._cores, thread_name_prefix="score")
        self._line = text_format("jsonl", scorer.heads).line
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        self._images = Counter("edge_ood_images", "Images by status", ["status"], **own)
        self._flagged = Counter("edge_ood_flagged", "Images flagged as out-of-distribution", **own)
        self._refused = Counter(
            "edge_ood_refused", "Requests refused, by reason", ["reason"], **own
        )
        self._latency = Histogram(
            "edge_ood_seconds", "From image to row", buckets=_LATENCIES_S, **own
        )
        self._pvalue = Histogram(
            "edge_ood_pvalue", "P-values of the deciding score", buckets=_PVALUES, **own
        )
        self._waiting = Gauge("edge_ood_requests", "Requests that wait or are scored", **own)
        Info("edge_ood_artifact", "The file that answers", **own).info(
            {"sha256": scorer.file.sha256, "version": metadata.version("edge-ood")}
        )
        self._seated = self._working = 0
        self._pending: _Waiting = []

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether a request bears the token, if there is one."""
        wanted = f"Bearer {self._limits.token}".encode()
        said = headers.get("authorization", "").encode()
        return not self._limits.token or hmac.compare_digest(said, wanted)

    async def answer(self, request: Any) -> _Answer:
        """Rows of the images of a request, or why there are none."""
        if not self.admits(request.headers):
            return _STRANGER
        if self._seated >= self._cores + self._limits.waiting:
            self._refused.labels("busy").inc()
            return _refusal(_BUSY, "too many requests wait", {"Retry-After": "1"})
        self._seat(1)
        try:
            async with asyncio.timeout(self._limits.seconds):
                rows = await self._scored(await images_of(request, self._limits.body_bytes))
        except TooLargeError as error:
            self._refused.labels("too large").inc()
            return _refusal(_TOO_LARGE, str(error))
        except (TimeoutError, ConnectionError):
            self._refused.labels("late").inc()
            return _refusal(_LATE, f"not done in {self._limits.seconds:g} s")
        except self._malformed as error:
            self._refused.labels("malformed").inc()
            return _refusal(_MALFORMED, str(error))
        finally:
            self._seat(-1)
        status = _DONE if any(row.values for row in rows) else _UNREADABLE
        return _Answer(status, "".join(map(self._line, rows)), media="application/jsonl")

    def health(self) -> dict[str, Any]:
        """What is here."""
        return {
            "status": "ok",
            "edge_ood": metadata.version("edge-ood"),
            "artifact": self._scorer.file.sha256,
            "scores": list(self._scorer.heads),
            "primary": self._scorer.metadata.primary,
        }

    async def _scored(self, images: Sequence[StoredImage]) -> list[Row]:
        """Their rows, in order."""
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in images]
        self._pending += zip(images, futures, strict=True)
        for _ in range(min(len(images), self._cores - self._working)):
            self._working += 1
            loop.run_in_executor(self._pool, self._work, loop)
        return list(await asyncio.gather(*futures))

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """Score what waits, some at a time, until nothing does.

        One image is not waited for by another: as many as are there go together, which is faster
        the more there are. The loop's own thread hands them out, so nothing is locked.
        """
        taken: _Waiting = asyncio.run_coroutine_threadsafe(self._take(), loop).result()
        while taken:
            rows = self._score([image for image, _ in taken])
            finished = [(future, row) for (_, future), row in zip(taken, rows, strict=True)]
            taken = asyncio.run_coroutine_threadsafe(self._take(finished), loop).result()

    async def _take(self, finished: Sequence[tuple[Any, Row]] = ()) -> _Waiting:
        """Hand rows in, and take the next images; an empty list ends the work."""
        for future, row in finished:
            if not future.done():  # nobody may wait any more
                future.set_result(row)
        taken = self._pending[:BATCH]
        del self._pending[:BATCH]
        self._working -= not taken
        return taken

    def close(self) -> None:
        """Let what has begun end."""
        self._pool.shutdown()

    def _seat(self, change: int) -> None:
        """Requests come and go."""
        self._seated += change
        self._waiting.set(self._seated)

    def _score(self, images: Sequence[StoredImage]) -> list[Row]:
        started = time.monotonic()
        rows = list(self._scorer.stream(images, batch_size=len(images), threads=1))
        seconds = time.monotonic() - started
        for row in rows:
            self._latency.observe(seconds)
            self._images.labels(row.status).inc()
            if row.values:
                self._flagged.inc(bool(row.values["is_ood"]))
                self._pvalue.observe(float(row.values["pvalue"]))
        return rows
