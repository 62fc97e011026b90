"""onnxruntime's execution providers: their names, and settings under which fp32 means fp32."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["AUTOMATIC", "PROVIDERS", "Provider"]


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
