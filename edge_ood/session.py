"""onnxruntime sessions: providers, threads and errors in one place."""

import contextlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from edge_ood.errors import ArtifactError, InputError, MissingDependencyError

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["PROVIDERS", "open_session", "provider_name", "translated_errors"]

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Execution providers by the name that `--provider` takes; `auto` is the first available."""

_LOG_ERRORS_ONLY = 3


def open_session(
    model: Path | bytes, *, provider: str = "auto", threads: int | None = None
) -> "onnxruntime.InferenceSession":
    """An inference session that fails rather than fall back to another provider.

    Args:
        model: A path, or a serialised model.
        provider: `auto`, `cpu` or `cuda`.
        threads: Inference threads; None lets onnxruntime decide.

    Raises:
        ArtifactError: If the file is missing or no valid ONNX model.
        InputError: If the provider is unknown or not available.
        MissingDependencyError: If no onnxruntime is installed.
    """
    runtime = _onnxruntime()
    wanted = _choose(provider, runtime.get_available_providers())
    options = runtime.SessionOptions()
    options.log_severity_level = _LOG_ERRORS_ONLY
    options.intra_op_num_threads = threads or 0
    # TF32 is on by default in onnxruntime, and then fp32 is not fp32.
    settings = {"use_tf32": "0"} if wanted == PROVIDERS["cuda"] else {}
    if isinstance(model, Path) and not model.is_file():
        raise ArtifactError(f"no file '{model}'", hint="check the path")
    name = "the model" if isinstance(model, bytes) else f"'{model}'"
    with translated_errors(f"{name} is not a valid ONNX model"):
        content = model if isinstance(model, bytes) else str(model)
        session = runtime.InferenceSession(content, options, providers=[(wanted, settings)])
    if session.get_providers()[0] != wanted:
        raise InputError(
            f"onnxruntime could not start {wanted} and fell back to {session.get_providers()[0]}",
            hint="install the driver and libraries it needs, or pass --provider cpu",
        )
    return session


def provider_name(session: "onnxruntime.InferenceSession") -> str:
    """The short name of the provider that a session runs on, such as `cpu`."""
    full = session.get_providers()[0]
    return next((name for name, provider in PROVIDERS.items() if provider == full), full)


@contextlib.contextmanager
def translated_errors(message: str) -> Iterator[None]:
    """Turn onnxruntime's errors inside the block into an `ArtifactError` with this message."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415  # slow import

    failures = (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
    )
    try:
        yield
    except failures as error:
        reason = str(error).splitlines()[0]
        raise ArtifactError(
            f"{message}: {reason}", hint="check the file, or export it again"
        ) from error


def _choose(provider: str, available: list[str]) -> str:
    if provider == "auto":
        preferred = [PROVIDERS["cuda"], PROVIDERS["cpu"]]
        return next(p for p in preferred if p in available)
    if provider not in PROVIDERS:
        names = ", ".join(["auto", *PROVIDERS])
        raise InputError(f"unknown provider {provider!r}", hint=f"one of {names}")
    if PROVIDERS[provider] not in available:
        raise InputError(
            f"provider {provider!r} is not available in this onnxruntime",
            hint="pip install 'edge-ood[gpu]'" if provider == "cuda" else "pass --provider auto",
        )
    return PROVIDERS[provider]


def _onnxruntime():  # type: ignore[no-untyped-def]  # a module
    try:
        import onnxruntime  # noqa: PLC0415  # optional and slow
    except ImportError as error:
        raise MissingDependencyError(
            "running an artefact", "onnxruntime", "cpu]' or 'edge-ood[gpu"
        ) from error
    if _installed("onnxruntime") and _installed("onnxruntime-gpu"):
        raise InputError(
            "both onnxruntime and onnxruntime-gpu are installed, and they overwrite each other",
            hint="uninstall both, then pip install 'edge-ood[cpu]' or 'edge-ood[gpu]'",
        )
    return onnxruntime


def _installed(distribution: str) -> bool:
    try:
        metadata.distribution(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True
