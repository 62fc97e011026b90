"""Sessions: the provider that was asked for or an error, and what a missing runtime says."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edge_ood import onnx_session
from edge_ood.errors import ArtifactError, InputError, MissingDependencyError
from edge_ood.onnx_session import open_session, provider_name, translated_errors

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
TENSORRT, OPENVINO = "TensorrtExecutionProvider", "OpenVINOExecutionProvider"

REFUSE_ONNXRUNTIME = """
import sys
from edge_ood.runtime.scorer import Scorer

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Refuse())
try:
    Scorer(sys.argv[1])
except ImportError as error:
    print(type(error).__name__, error, error.hint, sep="|")
"""


class FakeRuntime(SimpleNamespace):
    """An onnxruntime whose sessions end up on a provider of the test's choice."""

    def __init__(self, available: list[str], runs_on: str | Exception) -> None:
        super().__init__(SessionOptions=SimpleNamespace, asked=None)
        self.available = available
        self.runs_on = runs_on

    def get_available_providers(self) -> list[str]:
        """What this build of it has."""
        return self.available

    def InferenceSession(self, content: Any, options: Any, **settings: Any) -> Any:  # noqa: N802
        """Remember what was asked for and start somewhere."""
        self.asked = settings
        if isinstance(self.runs_on, Exception):
            raise self.runs_on
        return SimpleNamespace(get_providers=lambda: [self.runs_on, CPU])


@pytest.fixture
def gpu_machine(monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    """An onnxruntime with CUDA that works."""
    runtime = FakeRuntime([CUDA, CPU], CUDA)
    monkeypatch.setattr(onnx_session, "load_onnxruntime", lambda: runtime)
    return runtime


def test_auto_takes_the_gpu_where_there_is_one(gpu_machine: FakeRuntime) -> None:
    """CUDA comes first, without TF32, and alone: nothing to fall back to."""
    opened = open_session(b"model", provider="auto")

    assert "cuda" == provider_name(opened)
    assert [(CUDA, {"use_tf32": "0"})] == gpu_machine.asked["providers"]
    assert 0 == gpu_machine.asked["enable_fallback"]


def test_tensorrt_is_asked_for_by_name_without_tf32(
    gpu_machine: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA runs what it cannot; TF32 is off by the one switch there is, fp16 by its own."""
    gpu_machine.available = [TENSORRT, CUDA, CPU]
    gpu_machine.runs_on = TENSORRT
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "")  # so that it is unset again afterwards
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE")

    assert "tensorrt" == provider_name(open_session(b"model", provider="tensorrt"))

    first, second = gpu_machine.asked["providers"]
    assert (TENSORRT, {"trt_fp16_enable": "0"}) == first
    assert (CUDA, {"use_tf32": "0"}) == second
    assert "0" == os.environ["NVIDIA_TF32_OVERRIDE"]


def test_auto_prefers_what_was_installed_on_purpose(gpu_machine: FakeRuntime) -> None:
    """OpenVINO is in no onnxruntime by accident, while TensorRT is listed without its libraries."""
    gpu_machine.available = [OPENVINO, CPU]
    gpu_machine.runs_on = OPENVINO
    assert "openvino" == provider_name(open_session(b"model"))
    ((_, settings),) = gpu_machine.asked["providers"]
    assert {"CPU": {"INFERENCE_PRECISION_HINT": "f32"}} == json.loads(settings["load_config"])

    gpu_machine.available = [TENSORRT, CUDA, CPU]
    gpu_machine.runs_on = CUDA
    assert "cuda" == provider_name(open_session(b"model"))


def test_auto_takes_the_cpu_elsewhere(colour_artifact: Path) -> None:
    """Without CUDA in the build there is only one choice."""
    assert "cpu" == provider_name(open_session(colour_artifact, provider="auto"))


@pytest.mark.parametrize("runs_on", [CPU, RuntimeError("CUDA failure 100: no device\nmore")])
def test_a_silent_fallback_is_an_error(gpu_machine: FakeRuntime, runs_on: str | Exception) -> None:
    """If CUDA is there but does not start, the hint names the CPU instead of taking it."""
    gpu_machine.runs_on = runs_on

    with pytest.raises(InputError, match=f"could not start {CUDA}: .+") as raised:
        open_session(b"model", provider="cuda")

    assert "--provider cpu" in str(raised.value.hint)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("provider", "package"),
    [
        ("cuda", "edge-ood[gpu]"),
        ("tensorrt", "edge-ood[gpu]"),
        ("openvino", "onnxruntime-openvino"),
    ],
)
def test_a_provider_that_is_not_there_is_an_error(
    monkeypatch: pytest.MonkeyPatch, colour_artifact: Path, provider: str, package: str
) -> None:
    """On a build for CPUs alone, the hint names what has it."""
    runtime = FakeRuntime([CPU], CPU)
    monkeypatch.setattr(onnx_session, "load_onnxruntime", lambda: runtime)

    with pytest.raises(InputError, match=f"'{provider}' is not available") as raised:
        open_session(colour_artifact, provider=provider)

    assert package in str(raised.value.hint)


def test_an_unknown_provider_is_an_error(colour_artifact: Path) -> None:
    """The hint lists those that exist."""
    with pytest.raises(InputError, match="unknown provider 'gpu'") as raised:
        open_session(colour_artifact, provider="gpu")

    assert "one of auto, cpu, cuda, tensorrt, openvino" == raised.value.hint


def test_fewer_than_one_thread_is_an_error(colour_artifact: Path) -> None:
    """0 would silently mean all of them."""
    with pytest.raises(InputError, match="0 inference threads"):
        open_session(colour_artifact, threads=0)


def test_bytes_that_are_no_model_are_an_error() -> None:
    """Models in memory are called just that."""
    with pytest.raises(ArtifactError, match="the model is not a valid ONNX model: "):
        open_session(b"nothing")


def test_a_file_name_may_hold_any_byte(tmp_path: Path, colour_artifact: Path) -> None:
    """The bindings of onnxruntime want UTF-8; file systems do not care."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.onnx"))
    path.write_bytes(colour_artifact.read_bytes())

    assert "cpu" == provider_name(open_session(path))


def test_long_reasons_are_cut_and_bugs_pass_through() -> None:
    """Errors of onnxruntime become one short line; other errors stay what they are."""
    with pytest.raises(ArtifactError) as raised, translated_errors("broken"):
        (b"word " * 1000 + b"\xff").decode()
    with pytest.raises(KeyError), translated_errors("broken"):
        raise KeyError("a bug")

    assert len(str(raised.value)) < 350


def test_a_missing_onnxruntime_names_both_extras(colour_artifact: Path) -> None:
    """The error says what needs it and what to install."""
    done = subprocess.run(
        [sys.executable, "-c", REFUSE_ONNXRUNTIME, colour_artifact],
        capture_output=True,
        text=True,
        check=True,
    )

    kind, message, hint = done.stdout.strip().split("|")
    assert MissingDependencyError.__name__ == kind
    assert "running an artefact needs onnxruntime, which is not installed" == message
    assert "pip install 'edge-ood[cpu]' or 'edge-ood[gpu]'" == hint


def test_both_onnxruntimes_are_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, colour_artifact: Path
) -> None:
    """They overwrite each other's files, so neither can be trusted."""
    for name in ("onnxruntime", "onnxruntime_gpu"):
        folder = tmp_path / f"{name}-1.20.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.20.0\n")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(InputError, match="both onnxruntime and onnxruntime-gpu") as raised:
        open_session(colour_artifact)

    assert "uninstall both" in str(raised.value.hint)


@pytest.mark.parametrize("content", ["", "import no_such_module", "raise ImportError('GLIBC')"])
def test_a_broken_onnxruntime_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, colour_artifact: Path, content: str
) -> None:
    """Half of its files, a missing part or a wrong C library are not "not installed"."""
    (tmp_path / "onnxruntime.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)

    with pytest.raises(InputError, match="onnxruntime is installed, but cannot be loaded"):
        open_session(colour_artifact)


USAGE_DATA = "ORT_DISABLE_TELEMETRY"
"""What onnxruntime reads when it loads."""


def printed_by(code: str, **variables: str) -> str:
    """What a fresh interpreter prints, without what this one was told about usage data."""
    clean = {name: value for name, value in os.environ.items() if name != USAGE_DATA}
    done = subprocess.run(
        [sys.executable, "-Ic", code], capture_output=True, text=True, env=clean | variables
    )
    return done.stdout.strip() + done.stderr.strip()


def test_usage_data_stay_on_the_device() -> None:
    """Importing the package tells onnxruntime not to send any, unless the user said otherwise."""
    code = f"import os, edge_ood; print(os.environ['{USAGE_DATA}'])"

    assert "1" == printed_by(code)
    assert "0" == printed_by(code, **{USAGE_DATA: "0"})


def test_the_package_does_not_load_onnxruntime() -> None:
    """What switches its usage data off does not cost the time that loading it takes."""
    assert "False" == printed_by("import edge_ood, sys; print('onnxruntime' in sys.modules)")


@pytest.mark.parametrize(("wish", "calls"), [({}, "off"), ({USAGE_DATA: "0"}, "")])
def test_an_onnxruntime_loaded_before_is_told(wish: dict[str, str], calls: str) -> None:
    """It has read the variable by then, so its own function is called, unless the user set 0."""
    code = (
        "import sys, types\n"
        "stop = lambda: print('off')\n"
        "sys.modules['onnxruntime'] = types.SimpleNamespace(disable_telemetry_events=stop)\n"
        "import edge_ood"
    )

    assert calls == printed_by(code, **wish)


def test_an_onnxruntime_that_cannot_be_told_is_no_error() -> None:
    """A build without that function, or one that half loaded, does not stop the import."""
    code = "import sys; sys.modules['onnxruntime'] = sys; import edge_ood; print('imported')"

    assert "imported" == printed_by(code)
