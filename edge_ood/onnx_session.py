"""onnxruntime sessions: providers, under settings where fp32 means fp32, threads and errors."""

import contextlib
import json
import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_ood.errors import ArtifactError, InputError, MissingDependencyError
from edge_ood.files.paths import is_file, is_folder
from edge_ood.files.regular import read_regular

if TYPE_CHECKING:
    import onnxruntime

__all__ = [
    "AUTOMATIC",
    "PROVIDERS",
    "Provider",
    "check_model_file",
    "load_onnxruntime",
    "open_session",
    "provider_name",
    "read_properties",
    "translated_errors",
]

_DISTRIBUTIONS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino")
_LOG_FATAL_ONLY = 4
_LONGEST_REASON = 300
_OF_A_RUN = ("config.json", "splits.json")
_READS = "this onnxruntime reads up to"
_PLAINER: Mapping[str, str | Callable[[re.Match[str]], str]] = {  # what onnxruntime says
    r".*model IR version: (\d+), max[^:]*: (\d+).*": rf"it has IR version \1, {_READS} \2",
    r".*Opset (\d+) is under .* till opset (\d+).*": rf"it has opset \1, {_READS} \2",
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : ": "",
    r"Load model from [^\n]* failed:|/\S+\.(cc|h):\d+ .*?\)( const)? ": "",
    r".*running (\w+) node.* memory for requested buffer of size (\d+).*": lambda found: (
        f"operator {found[1]!r} wants {int(found[2]) >> 20} MiB of memory, more than there is"
    ),
}


@dataclass(frozen=True)
class Provider:
    """One way to run a model.

    Attributes:
        full_name: What onnxruntime calls it.
        settings: Its options.
        remainder: Short names of the providers that run what it cannot; the CPU always does.
        environment: Variables that its libraries read when they load, unless they are set already.
        source: What to do where this onnxruntime does not have it.
    """

    full_name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    remainder: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    source: str = "pass --provider auto"


_GPU_PACKAGE = "pip install 'edge-ood[gpu]'"
_OPENVINO_PRECISION = {"CPU": {"INFERENCE_PRECISION_HINT": "f32"}}

PROVIDERS = {
    "cpu": Provider("CPUExecutionProvider"),
    # TF32 is on by default in onnxruntime.
    "cuda": Provider("CUDAExecutionProvider", {"use_tf32": "0"}, source=_GPU_PACKAGE),
    # It has no setting for TF32, only this variable: onnxruntime issue 26029.
    "tensorrt": Provider(
        "TensorrtExecutionProvider",
        {"trt_fp16_enable": "0"},
        remainder=("cuda",),
        environment={"NVIDIA_TF32_OVERRIDE": "0"},
        source=f"{_GPU_PACKAGE}, and TensorRT",
    ),
    # Its own default depends on version and processor, some of which compute in bfloat16.
    "openvino": Provider(
        "OpenVINOExecutionProvider",
        {"device_type": "CPU", "load_config": json.dumps(_OPENVINO_PRECISION)},
        source="pip install onnxruntime-openvino in place of onnxruntime",
    ),
}
"""By the name that `--provider` takes."""

AUTOMATIC = ("cuda", "openvino", "cpu")
"""What `auto` takes, the first that this onnxruntime has. TensorRT is not among them: it compiles
an artefact for minutes, and onnxruntime lists it where its libraries are not installed."""


def open_session(
    model: Path | bytes,
    *,
    provider: str = "auto",
    threads: int | None = None,
    source: str = "",
    optimised: bool = True,
) -> "onnxruntime.InferenceSession":
    """An inference session that fails rather than fall back to another provider.

    Args:
        model: A path, or a serialised model.
        provider: `auto` or a key of `PROVIDERS`.
        threads: Inference threads of the CPU, 1 or more; None lets onnxruntime decide.
        source: The file that a serialised model comes from, for messages.
        optimised: Whether onnxruntime may rewrite the graph; if not, it runs node by node.

    Raises:
        ArtifactError: If the file is missing or no valid ONNX model.
        InputError: If the provider is unknown or not available, or there are no threads.
        MissingDependencyError: If no onnxruntime is installed.
    """
    runtime = load_onnxruntime()
    chosen = PROVIDERS[_choose(provider, runtime.get_available_providers())]
    wanted = chosen.full_name
    if threads is not None and threads < 1:
        raise InputError(f"{threads} inference threads, expected 1 or more")
    if isinstance(model, Path):
        check_model_file(model)
    options = runtime.SessionOptions()
    options.log_severity_level = _LOG_FATAL_ONLY
    options.intra_op_num_threads = threads or 0
    if not optimised:
        options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for variable, value in chosen.environment.items():
        os.environ.setdefault(variable, value)
    in_order = [chosen, *(PROVIDERS[other] for other in chosen.remainder)]
    providers = [(each.full_name, dict(each.settings)) for each in in_order]
    file = source if isinstance(model, bytes) else str(model)
    name = f"'{file}'" if file else "the model"
    with translated_errors(f"{name} is not a valid ONNX model"), _start_errors(wanted):
        session = runtime.InferenceSession(
            _content(model), options, providers=providers, enable_fallback=0
        )
    if session.get_providers()[0] != wanted:
        raise _did_not_start(wanted, f"fell back to {session.get_providers()[0]}")
    return session


def check_model_file(path: Path) -> None:
    """Refuse a path at which there is no file for onnx and onnxruntime, which open anything.

    Raises:
        ArtifactError: If there is nothing, a folder, or a pipe or device, which may have no end.
    """
    if is_file(path):
        return
    if is_folder(path):
        raise ArtifactError(f"'{path}' is a folder, expected an ONNX file", hint=_hint_for(path))
    if os.path.exists(path):  # noqa: PTH110  # see edge_ood.files.paths
        raise ArtifactError(f"'{path}' is not a regular file", hint="copy it into one")
    raise ArtifactError(f"no file '{path}'", hint="check the path")


def _hint_for(folder: Path) -> str:
    if all(is_file(folder / name) for name in _OF_A_RUN):
        return f"it is a run of 'edge-ood train': 'edge-ood export {folder}' makes the file"
    return "name the file first, folders of images after it"


def provider_name(session: "onnxruntime.InferenceSession") -> str:
    """The short name of the provider that a session runs on, such as `cpu`."""
    full = session.get_providers()[0]
    return next((name for name, each in PROVIDERS.items() if each.full_name == full), full)


def read_properties(session: "onnxruntime.InferenceSession", source: str) -> Mapping[str, str]:
    """The custom metadata of a model.

    Raises:
        ArtifactError: If it is no text; it calls the model `source`.
    """
    with translated_errors(f"the metadata of '{source}' is damaged"):
        properties: Mapping[str, str] = session.get_modelmeta().custom_metadata_map
    return properties


@contextlib.contextmanager
def translated_errors(message: str) -> Iterator[None]:
    """Turn onnxruntime's errors inside the block into an `ArtifactError` with this message."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415  # slow import

    # All that this version of onnxruntime has: they share no base class of their own.
    kinds = [kind for kind in vars(state).values() if isinstance(kind, type)]
    failures = tuple(kind for kind in kinds if issubclass(kind, Exception))
    try:
        yield
    except failures as error:
        raise _artifact_error(message, str(error)) from error
    except UnicodeDecodeError as error:
        # Something in the file, or in a message that quotes it, is no text.
        raise _artifact_error(message, error.object.decode(errors="backslashreplace")) from error


@contextlib.contextmanager
def _start_errors(wanted: str) -> Iterator[None]:
    """Only providers other than the CPU's fail with a plain RuntimeError, for want of a device."""
    try:
        yield
    except RuntimeError as error:
        raise _did_not_start(wanted, str(error).partition("\n")[0]) from error


def _artifact_error(message: str, reason: str) -> ArtifactError:
    for pattern, plainer in _PLAINER.items():
        reason = re.sub(pattern, plainer, reason, count=1, flags=re.DOTALL)
    first = reason.partition("\n")[0]
    shown = textwrap.shorten(first, _LONGEST_REASON, placeholder=" ...")
    check = "upgrade onnxruntime" if _READS in first else "check the file"
    return ArtifactError(f"{message}: {shown}", hint=f"{check}, or export it again")


def _did_not_start(wanted: str, reason: str) -> InputError:
    return InputError(
        f"onnxruntime could not start {wanted}: {reason}",
        hint="install the driver and libraries that it needs, or pass --provider cpu",
    )


def _content(model: Path | bytes) -> str | bytes:
    """What onnxruntime is given: a path, unless it holds bytes that are no UTF-8."""
    if isinstance(model, bytes):
        return model
    try:
        str(model).encode()
    except UnicodeEncodeError:
        return read_regular(model)
    return str(model)


def _choose(provider: str, available: list[str]) -> str:
    """The short name of what to run on."""
    if provider == "auto":
        return next(name for name in AUTOMATIC if PROVIDERS[name].full_name in available)
    if provider not in PROVIDERS:
        names = ", ".join(["auto", *PROVIDERS])
        raise InputError(f"unknown provider {provider!r}", hint=f"one of {names}")
    if PROVIDERS[provider].full_name not in available:
        raise InputError(
            f"provider {provider!r} is not available in this onnxruntime",
            hint=PROVIDERS[provider].source,
        )
    return provider


def load_onnxruntime() -> Any:  # the module
    """The one onnxruntime that is installed.

    Raises:
        InputError: If several builds are installed, or the one there is cannot be loaded.
        MissingDependencyError: If none is installed.
    """
    installed = _installed()
    if len(installed) > 1:
        raise InputError(
            f"both {' and '.join(installed)} are installed, and they overwrite each other",
            hint="uninstall both, then pip install 'edge-ood[cpu]' or 'edge-ood[gpu]'",
        )
    try:
        import onnxruntime  # noqa: PLC0415  # optional and slow
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise _broken(str(error)) from error
        raise MissingDependencyError(
            "running an artefact", "onnxruntime", "cpu]' or 'edge-ood[gpu"
        ) from error
    except ImportError as error:
        raise _broken(str(error)) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        # What is left when one of the two packages was uninstalled and took shared files with it.
        raise _broken("its files are incomplete")
    return onnxruntime


def _broken(reason: str) -> InputError:
    return InputError(
        f"onnxruntime is installed, but cannot be loaded: {reason}",
        hint="pip uninstall onnxruntime onnxruntime-gpu, then install edge-ood's extra again",
    )


def _installed() -> list[str]:
    """Which builds of onnxruntime are on the path."""
    # By their folders' names: importlib.metadata loads for longer than the rest of this package.
    found = {
        folder.name.partition("-")[0].replace("_", "-")
        for place in sys.path
        for folder in Path(place).glob("onnxruntime*.dist-info")
    }
    return sorted(found & set(_DISTRIBUTIONS))
