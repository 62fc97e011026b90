"""What every score head keeps, whatever it computes: a new file gets this battery by its name."""

from dataclasses import fields
from functools import cache

import array_api_compat.numpy as numpy_namespace
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edge_ood.graph.array import OPSET, GraphArray, GraphBuilder
from edge_ood.graph.namespace import GraphNamespace
from edge_ood.registry import bind_parameters, parse_spec
from edge_ood.scores import HEADS, BoundHead, LinearLayer, Outputs, bind_head

CLASSES, DIMENSIONS = 4, 160
IMAGES = 240  # of a batch that statistics are fitted on; together more than there are features
FLOAT64 = 1e-12  # relative; the same formula in another order of sums
LEAST_PROBABILITY = 1e-30  # that a classifier without logits is adopted with
FLOAT32 = 1e-4  # of the scores' spread; whitened float32 features are the worst
CENTRES = 30 * np.eye(CLASSES, DIMENSIONS)
WEIGHT = CENTRES / 30 + 0.05 * np.random.default_rng(9).normal(size=CENTRES.shape)
LINEAR = LinearLayer(WEIGHT, np.linspace(-0.5, 0.5, CLASSES))

VARIANTS = (
    "gen:classes=2",
    "knn:bank=40,k=3",
    "mahalanobis:normalize=false",
    "mahalanobis:rank=2",
    "nci:alpha=0.1",
    "residual:dimensions=100",
    "rmd:normalize=false",
    "vim:origin=weights",
)
FITTED = [name for name in HEADS.names() if HEADS.get(name).fit is not None]
WEIGHTED = [name for name in HEADS.names() if HEADS.get(name).layer_weights is not None]
OF_PROBABILITIES = [name for name in HEADS.names() if HEADS.get(name).reads_probabilities]


@pytest.fixture(params=[*HEADS.names(), *VARIANTS])
def spec(request):
    """Every registered head, and those of which a parameter leads to another formula."""
    return parse_spec(request.param)


@pytest.fixture
def name(spec):
    """The head's name."""
    return spec.name


def outputs_of(logits, features):
    """All fields of `Outputs`; the heads of the pair differ where the logits are not sure."""
    logits, features = np.asarray(logits, float), np.asarray(features, float)
    second = logits + np.linspace(0, 1, CLASSES)
    early = np.abs(features[:, :3]) + 1
    return Outputs(
        logits, np.stack([logits, second], axis=1), {"early": early, "penultimate": features}
    )


def mapped(function, outputs):
    """The same outputs with a function applied to every array."""
    features = {layer: function(array) for layer, array in outputs.features.items()}
    return Outputs(function(outputs.logits), function(outputs.logits_pair), features)


def id_outputs(count, seed=0):
    """Images of the classes in turn: sure logits, features around the class's centre."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    logits = 30 * np.eye(CLASSES)[labels] + rng.normal(size=(count, CLASSES))
    return outputs_of(
        logits, np.abs(CENTRES[labels] + rng.normal(size=(count, DIMENSIONS)))
    ), labels


def mixed(count, seed=1):
    """Images of all degrees of doubt."""
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.5, 6, (count, 1))
    logits = spread * rng.normal(size=(count, CLASSES))
    return outputs_of(logits, np.abs(spread * rng.normal(size=(count, DIMENSIONS))))


@cache
def fitted(spec):
    """A head by its text, fitted in three batches where it fits anything."""
    bound = bind_head(spec)
    accumulator = bound.accumulator(CLASSES, LINEAR)
    if accumulator is None:
        return bound
    for seed in range(3):
        accumulator.update(*id_outputs(IMAGES, seed))
    return BoundHead(bound.head, bound.parameters, accumulator.finish())


@pytest.fixture
def head(spec):
    """The head, fitted."""
    return fitted(str(spec))


def in_numpy(head, outputs):
    """Scores in float64."""
    return head.score(numpy_namespace, outputs)


def in_torch(head, outputs):
    """Scores on torch tensors in float64."""
    torch = pytest.importorskip("torch")
    from array_api_compat import torch as namespace

    statistics = {key: torch.from_numpy(array) for key, array in head.statistics.items()}
    bound = BoundHead(head.head, head.parameters, statistics)
    return bound.score(namespace, mapped(torch.from_numpy, outputs)).numpy()


def in_onnxruntime(head, outputs):
    """Scores of the recorded graph in float32."""
    builder = GraphBuilder()
    feeds = {"logits": outputs.logits, "logits_pair": outputs.logits_pair, **outputs.features}
    layers = {layer: GraphArray(builder, layer) for layer in outputs.features}
    recorded = Outputs(GraphArray(builder, "logits"), GraphArray(builder, "logits_pair"), layers)
    result = head.score(GraphNamespace(), recorded)
    builder.add("Identity", [result.name], name="score")
    inputs = [
        helper.make_tensor_value_info(key, TensorProto.FLOAT, [None, *array.shape[1:]])
        for key, array in feeds.items()
    ]
    graph = helper.make_graph(
        builder.nodes, "head", inputs, [onnx.ValueInfoProto(name="score")], builder.initializers
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    feeds = {key: array.astype(np.float32) for key, array in feeds.items()}
    (scores,) = session.run(None, feeds)
    return scores


@pytest.mark.parametrize("count", [1, 3])
def test_one_score_per_image(head, count):
    """A batch of N images has scores of shape (N,)."""
    assert in_numpy(head, mixed(count)).shape == (count,)


def test_ood_images_score_higher(head):
    """Larger is more out-of-distribution: no doubt-free image outscores a hopeless one."""
    near, _ = id_outputs(12, seed=5)
    # Equal logits of the first head, another opinion of the second, features far from any centre.
    far = outputs_of(np.zeros((5, CLASSES)), np.full((5, DIMENSIONS), -0.5))

    assert in_numpy(head, near).max() < in_numpy(head, far).min()


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_extreme_outputs_have_finite_scores(head, size):
    """Nothing overflows at 10,000, in float64 or in the float32 graph."""
    logits = np.array([[size, 0, 0, 0], [size, -size, size, 0], [size] * CLASSES])
    outputs = outputs_of(logits, np.full((3, DIMENSIONS), size))

    assert np.isfinite(in_numpy(head, outputs)).all()
    assert np.isfinite(in_onnxruntime(head, outputs)).all()


def test_nan_stays_nan(head):
    """Broken outputs cannot pass for a score, so that the decision can flag them."""
    broken = mapped(lambda array: np.full_like(array, np.nan), mixed(2))

    assert np.isnan(in_numpy(head, broken)).all()
    assert np.isnan(in_onnxruntime(head, broken)).all()


def test_order_of_images_does_not_matter(head):
    """Permuted images have permuted scores."""
    outputs, order = mixed(9), np.random.default_rng(3).permutation(9)

    permuted = in_numpy(head, mapped(lambda array: array[order], outputs))

    np.testing.assert_allclose(permuted, in_numpy(head, outputs)[order], rtol=FLOAT64)


def test_batch_does_not_matter(head):
    """Every image alone has the score it has among others."""
    outputs = mixed(6)

    alone = [in_numpy(head, mapped(lambda a, i=i: a[i : i + 1], outputs))[0] for i in range(6)]

    np.testing.assert_allclose(alone, in_numpy(head, outputs), rtol=FLOAT64)


@pytest.mark.parametrize("count", [1, 3])
def test_the_formula_gives_the_same_on_torch_tensors(head, count):
    """The formula on torch tensors gives NumPy's scores."""
    outputs = mixed(count)

    np.testing.assert_allclose(in_torch(head, outputs), in_numpy(head, outputs), rtol=FLOAT64)


@pytest.mark.parametrize("count", [1, 3, 50])
def test_the_formula_gives_the_same_as_onnx_nodes(head, count):
    """The formula recorded as ONNX, statistics included, gives NumPy's scores in float32."""
    outputs = mixed(count)
    spread = np.ptp(in_numpy(head, mixed(200)))

    found = in_onnxruntime(head, outputs)

    assert found.dtype == np.float32
    np.testing.assert_allclose(found, in_numpy(head, outputs), rtol=0, atol=FLOAT32 * spread)


@pytest.mark.parametrize("name", FITTED)
def test_merged_statistics_give_the_same_scores(name):
    """Accumulators merged give the scores of one that saw everything."""
    bound = bind_head(name)
    batches = [id_outputs(IMAGES, seed) for seed in range(4)]
    whole, first, second = (bound.accumulator(CLASSES, LINEAR) for _ in range(3))
    for position, batch in enumerate(batches):
        whole.update(*batch)
        (first if position == 0 else second).update(*batch)

    first.merge(second)

    expected, merged = (
        BoundHead(bound.head, bound.parameters, fit.finish()) for fit in (whole, first)
    )
    np.testing.assert_allclose(in_numpy(merged, mixed(8)), in_numpy(expected, mixed(8)), rtol=1e-9)


@pytest.mark.parametrize("name", WEIGHTED)
def test_layers_are_weighted_and_summed(name):
    """The score of several layers is the sum of those of each alone, times its weight."""
    bound = fitted(name)
    weights, outputs = {"early": np.array(3.0), "penultimate": np.array(0.25)}, mixed(6)

    found = in_numpy(bound.with_weights(weights), outputs)

    alone = [in_numpy(bound.of_layer(layer), outputs) for layer in weights]
    np.testing.assert_allclose(3 * alone[0] + 0.25 * alone[1], found, rtol=FLOAT64)
    assert bound.weights_source in ("uniform", "outliers", "fgsm")


@pytest.mark.parametrize("name", OF_PROBABILITIES)
def test_logarithms_of_probabilities_do_for_logits(name):
    """Rounded to float32, they give the score of the logits; what rounds to zero is the least."""
    head = fitted(name)
    logits = np.concatenate([mixed(9).logits, 120.0 * np.eye(CLASSES)])
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    exact = odds / odds.sum(axis=1, keepdims=True)
    rounded = np.log(np.maximum(exact.astype(np.float32).astype(float), LEAST_PROBABILITY))

    features = mixed(len(logits)).features
    found = in_numpy(head, Outputs(rounded, features=features))

    lost = exact.min(axis=1) < LEAST_PROBABILITY
    expected = in_numpy(head, Outputs(logits, features=features))
    close = {"rtol": 1e-6, "atol": 1e-29}
    np.testing.assert_allclose(expected[~lost], found[~lost], **close)
    assert (found[lost] >= expected[lost]).all()
    assert found[lost].max() < found[~lost].min()  # who is sure of a class stays the least strange
    assert lost.any()
    assert not lost.all()


def test_parameters_of_a_step_belong_to_heads_that_perturb(name):
    """`epsilon` is there with a perturbation, the others at most, and none without one."""
    head = HEADS.get(name)
    reserved = {"epsilon", "clip", "pixels"} & set(bind_parameters(head.score, {}, owner=name))

    assert (head.perturbation is not None) == ("epsilon" in reserved)
    assert head.perturbation or not reserved


def test_a_head_declares_its_name_inputs_source_and_defaults(name):
    """The last line names the file, fields that exist and a source; parameters have defaults."""
    head = HEADS.get(name)

    assert head.name == name
    assert set(head.inputs) <= {field.name for field in fields(Outputs)}
    assert head.inputs
    assert head.source
    assert None not in bind_parameters(head.score, {}, owner=name).values()


def test_only_declared_inputs_are_read(head):
    """A classifier that gives the declared outputs and no others can be scored."""
    outputs = mixed(3)
    given = {field: getattr(outputs, field) for field in head.head.inputs}

    reduced = Outputs(**{"logits": None, **given})

    np.testing.assert_array_equal(in_numpy(head, reduced), in_numpy(head, outputs))


def test_docstring_states_shape_and_source(name):
    """A reader finds shape, direction and paper without reading the formula."""
    text = HEADS.get(name).score.__doc__

    assert "(N," in text
    assert "Source:" in text
    assert "larger is" in " ".join(text.split())
