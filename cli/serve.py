"""`edge-ood serve`: the artefact behind HTTP, for whatever is beside the camera."""

import signal
import socket
from pathlib import Path
from typing import Annotated

import typer

from edge_ood.cli._options import ArtifactArgument, ProviderOption
from edge_ood.cli._say import say
from edge_ood.errors import InputError, MissingDependencyError

__all__ = ["serve"]

_GRACE_S = 20
_LEAST_TOKEN = 16


def serve(
    artifact: ArtifactArgument,
    *,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(help="A file with the token that requests have to bear; its own line."),
    ] = None,
    max_body_mb: Annotated[float, typer.Option(min=0.001, help="Of one request.")] = 32.0,
    queue: Annotated[
        int, typer.Option(min=0, help="Requests that may wait; the next one gets 503 at once.")
    ] = 64,
    timeout: Annotated[float, typer.Option(min=0.01, help="Seconds for one request.")] = 30.0,
    provider: ProviderOption = "auto",
) -> None:
    """Answer images over HTTP with the rows of score.

    POST /score takes them, GET /health and /metrics tell of the service. The body is one image,
    or a form of several; the answer has a JSON object a line. What is no image gets 422 and its
    row, whose status says why.

    Example: edge-ood serve exported/oe.onnx --port 8000

    Example: curl --data-binary @photo.jpg http://127.0.0.1:8000/score
    """
    from edge_ood.runtime.scorer import Scorer
    from edge_ood.runtime.serving import Limits, create_app

    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise MissingDependencyError("serving", "uvicorn", "serve") from error
    scorer = Scorer(artifact, provider=provider, threads=1)
    limits = Limits(int(max_body_mb * 2**20), queue, timeout, _token(token_file))
    app = create_app(scorer, limits)
    settings = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=_GRACE_S)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        raise InputError(
            f"cannot listen at {host}:{port}: {error.strerror}", hint="--port 0 takes a free one"
        ) from error
    name, number = listening.getsockname()[:2]
    say(f"listening at http://{name}:{number}/score; Ctrl-C or SIGTERM ends it", err=True)
    if host not in ("127.0.0.1", "localhost", "::1") and not limits.token:
        say("note: everybody who reaches this machine may ask; --token-file keeps others out",
            err=True)  # fmt: skip
    for ending in (signal.SIGINT, signal.SIGTERM):  # which the server raises again when it is done
        signal.signal(ending, _done)
    with listening:
        uvicorn.Server(settings).run([listening])


def _done(*_: object) -> None:
    """What was begun has been answered."""


def _token(path: Path | None) -> str:
    from edge_ood.files.regular import read_regular

    if path is None:
        return ""
    try:
        token = read_regular(path).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read '{path}': {error}", hint="a token in one line") from error
    if len(token) < _LEAST_TOKEN or len(token.split()) != 1:
        raise InputError(
            f"the token in '{path}' has {len(token)} letters, expected {_LEAST_TOKEN} or more in"
            " one word",
            hint="openssl rand -hex 32",
        )
    return token
