"""Gradients of whole graphs: against autograd, in batches, and what is refused."""

import copy
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser
from onnx.reference import ReferenceEvaluator

from edge_ood.errors import ExportError
from edge_ood.graph.array import GraphBuilder
from edge_ood.graph.gradient import append_gradient, append_replay, append_step, with_gradient

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

SIZE_PX = 32
TEMPERATURE = 1000.0
# Sums of some thousand float64 products.
TOLERANCE_DOUBLE = 1e-9
# Rounding, away from the kinks: an image whose activation is zero but for rounding may be off.
TOLERANCE_SINGLE = 1e-4


def parsed(text, opset=18, **weights):
    """A model from ONNX's textual syntax, with initializers."""
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}]> {text}')
    model.graph.initializer.extend(numpy_helper.from_array(w, n) for n, w in weights.items())
    return model


def run(model, feeds, outputs=None):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(outputs, feeds)


def with_odin_loss(model):
    """The model with an output `loss` (N,): minus the log-softmax of the largest logit."""
    model = copy.deepcopy(model)
    builder = GraphBuilder("loss")
    axis = builder.constant([1], np.int64)
    kind = model.graph.output[0].type.tensor_type.elem_type
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    scaled = builder.add("Div", ["logits", builder.constant(TEMPERATURE, dtype)])
    peak = builder.add("ReduceMax", [scaled, axis], keepdims=1)
    ratio = builder.add("Exp", [builder.add("Sub", [scaled, peak])])
    builder.add("Log", [builder.add("ReduceSum", [ratio, axis], keepdims=0)], name="loss")
    model.graph.node.extend(builder.nodes)
    model.graph.initializer.extend(builder.initializers)
    model.graph.output.append(helper.make_tensor_value_info("loss", kind, ["N"]))
    return model


def odin_gradient(network, images):
    """The same loss differentiated by autograd."""
    images = images.clone().requires_grad_(True)
    scaled = network(images) / TEMPERATURE
    loss = torch.logsumexp(scaled, 1) - scaled.amax(1)
    (gradient,) = torch.autograd.grad(loss.sum(), images)
    return gradient.numpy()


def shuffled(network):
    """The network in evaluation mode with batch statistics that are not 0 and 1."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.7, 1.5)
            module.weight.data.uniform_(0.7, 1.3)
            module.bias.data.normal_(0, 0.1)
    return network.eval()


def exported(network, size_px=SIZE_PX):
    """By torch's older exporter, which takes a tenth of the time of the newer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.utils  # kept in torch for models without dynamo support
        buffer = __import__("io").BytesIO()
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, size_px, size_px),),
            buffer,
            dynamo=False,
            opset_version=18,
            input_names=["x"],
            output_names=["logits"],
            dynamic_axes={"x": {0: "N"}, "logits": {0: "N"}},
        )
    del program
    return onnx.load_from_string(buffer.getvalue())
