"""What a user may ask for: refused before any work, with the way out in the hint."""

import re
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from edge_ood.api.artifact_options import artifact_options
from edge_ood.attachment.deciding import combining
from edge_ood.attachment.request import Options, Request
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.errors import EdgeOodError, InputError
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.registry import parse_specs
from edge_ood.scores import HEADS, bind_head

PERTURBING = [name for name in HEADS.names() if bind_head(name).is_tunable]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ("energy:temperature=0", "'temperature' of score head 'energy' is 0.0, expected a number"),
        ("energy,odin:temperature=-1", "'temperature' of score head 'odin' is -1.0"),
        ("energy,odin:epsilon=-0.001", "'epsilon' of score head 'odin' is -0.001, expected 0 or"),
        ("energy,mahalanobis:epsilon=-1", "'epsilon' of score head 'mahalanobis' is -1.0"),
        ("energy,mahalanobis:weights=adam", "is 'adam', expected one of uniform, fgsm, outliers"),
    ],
)
def test_parameters_out_of_range_are_refused(scores: str, message: str) -> None:
    """A temperature of 0, a step backwards and unknown weights end the command at once."""
    with pytest.raises(InputError, match=message) as raised:
        Options(heads=parse_specs(scores))

    assert "the default is" in str(raised.value.hint)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"epsilon": "best"}, "epsilon by 'best', expected", f"{PERTURBING[0]}:epsilon=0.002"),
        ({"epsilon": "auto"}, "no score has a step", f"add {' or '.join(PERTURBING)} to --scores"),
        ({"epsilon": "auto", "heads": parse_specs("energy,odin:epsilon=0")}, "no score", "odin"),
        ({"epsilon": "auto", "heads": parse_specs("energy,adascale")}, "no score", "add odin to"),
        ({"layers": ("auto",), "heads": parse_specs("energy")}, "reads features", "mahalanobis"),
    ],
)
def test_choices_that_no_score_notices_are_refused(
    options: dict[str, object], message: str, hint: str
) -> None:
    """Asking for a chosen epsilon, or for layers, without a head that uses them is a slip."""
    with pytest.raises(InputError, match=message) as raised:
        Options(**options)  # type: ignore[arg-type]  # wrong on purpose

    assert hint in str(raised.value.hint)


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"precision": "int4"}, "unknown precision 'int4'", "int8"),
        ({"precision": "int8", "int8_target": "avx"}, "unknown int8 target 'avx'", "avx2"),
        ({"int8_target": "arm"}, "an int8 target for a classifier in fp32", "--precision int8"),
        ({"precision": "fp16", "int8_target": "arm"}, "in fp16", "leave out --int8-target"),
        ({"max_label_flips": 0.1}, "which nothing converts", "leave out --max-label-flips"),
        ({"precision": "int8", "max_label_flips": 5}, "at most 5 of the labels", "one image in"),
        ({"precision": "int8", "max_label_flips": float("nan")}, "at most nan", "one image in"),
    ],
)
def test_unusable_precisions_are_refused(
    options: dict[str, object], message: str, hint: str
) -> None:
    """Names with the nearest, settings that nothing would read, shares that are none."""
    with pytest.raises(InputError, match=message) as raised:
        Options(**options)  # type: ignore[arg-type]  # wrong on purpose

    assert hint in str(raised.value.hint)


@pytest.mark.parametrize("head", ["odin", "adascale", "mahalanobis:epsilon=0.001"])
def test_heads_that_perturb_have_no_gradient_in_int8(head: str) -> None:
    """The same heads without a step are welcome, and with one in float16."""
    with pytest.raises(InputError, match=r"along the sign of a gradient.*flat") as raised:
        Options(heads=parse_specs(f"energy,{head}"), precision="int8")

    assert "out of --scores, set its epsilon to 0, or export with" in str(raised.value.hint)
    Options(heads=parse_specs(f"energy,{head.split(':')[0]}:epsilon=0"), precision="int8")
    Options(heads=parse_specs(f"energy,{head}"), precision="fp16")


@pytest.mark.parametrize(
    "options",
    [
        Options(heads=parse_specs("energy,odin"), epsilon="outliers"),
        Options(heads=parse_specs("energy,mahalanobis:weights=outliers")),
    ],
    ids=["epsilon", "weights"],
)
def test_outliers_that_do_not_exist_are_refused(options: Options) -> None:
    """A run without outliers cannot choose by them; the hint offers FGSM images."""
    with pytest.raises(InputError, match="no outliers") as raised:
        _request(options)

    assert "fgsm" in str(raised.value.hint)


def test_a_head_that_is_no_default_decides_only_where_it_was_chosen() -> None:
    """Without `--scores` there are the declared heads, and the hint says how to get another."""
    with pytest.raises(InputError, match="'odin' is not among the scores gen") as raised:
        Options(primary="odin")

    assert "add it to --scores" in str(raised.value.hint)
    Options(heads=parse_specs("energy,odin"), primary="odin")


def _classifier(outputs: tuple[str, ...]) -> ModelProto:
    graph = helper.make_graph(
        [], "none", [], [helper.make_tensor_value_info(o, TensorProto.FLOAT, []) for o in outputs]
    )
    return helper.make_model(graph)


def _request(options: Options) -> Request:
    images = ImageSet((), np.zeros(0, np.int64), ("a", "b"))
    return Request(
        classifier=_classifier(("logits",)),
        reference=None,  # type: ignore[arg-type]  # never used
        preprocess=Preprocess(8),
        classes=("a", "b"),
        training=images,
        calibration=images,
        options=options,
    )


@pytest.mark.parametrize(
    ("scores", "heads", "of", "rule"),
    [
        ("energy,combined,msp", ["energy", "msp"], (), "sum"),
        ("combined", [], (), "sum"),
        ("energy,combined:of=energy+knn", ["energy", "knn"], ("energy", "knn"), "sum"),
        ("msp,gen,combined:rule=largest", ["msp", "gen"], (), "largest"),
        ("combined:of=mcd-l1+gen", ["mcd_l1", "gen"], ("mcd_l1", "gen"), "sum"),
    ],
)
def test_combined_is_taken_out_of_the_scores(
    scores: str, heads: list[str], of: tuple[str, ...], rule: str
) -> None:
    """It is no head: the others are, in their order, and those that it is made of."""
    found, combined = combining(parse_specs(scores))

    assert heads == [spec.name for spec in found]
    assert {"combined": True, "combined_of": of, "combined_rule": rule} == combined


def test_nothing_is_combined_unless_it_is_asked_for() -> None:
    """By name, or as what decides."""
    assert ([], {}) == combining(())
    assert combining((), "combined")[1]["combined"]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ("energy,combined", "'combined' combines two scores or more, got energy"),
        ("combined,combined,energy,msp", "'combined' is named 2 times, expected once"),
        ("energy,msp,combined:of=gen", "a combined score of gen, expected two heads or more"),
        ("energy,msp,combined:of=gen+gen", "a combined score of gen, gen, expected two"),
        ("energy,msp,combined:rule=product", "'rule' of 'combined' is 'product', expected one of"),
        ("energy,msp,combined:temperature=2", "unknown parameter of 'combined' 'temperature'"),
        ("energy,combined:of=gen+enrgy", "unknown score head 'enrgy'"),
    ],
)
def test_what_cannot_be_combined_is_refused(scores: str, message: str) -> None:
    """One score is its own sum, and what there is not cannot be part of one."""
    with pytest.raises(EdgeOodError, match=re.escape(message)):
        artifact_options(scores=scores)


def test_only_a_score_that_there_is_can_decide() -> None:
    """`combined` decides where it was asked for."""
    heads = parse_specs("energy,msp")

    with pytest.raises(InputError, match="primary head 'combined' is not among"):
        Options(heads=heads, primary="combined")
    with pytest.raises(InputError, match="combines two scores or more, got energy"):
        Options(heads=heads[:1], guarantee=Guarantee(combined=True))

    chosen = Options(heads=heads, primary="combined", guarantee=Guarantee(combined=True))
    assert "combined" == chosen.primary


@pytest.mark.parametrize(
    ("given", "expected"), [({}, None), ("auto", None), ("1.5", 1.5), (2, 2.0), (0.25, 0.25)]
)
def test_a_temperature_is_a_number_or_is_chosen(given: Any, expected: float | None) -> None:
    """As the command line and as Python write it."""
    options = {} if given == {} else {"temperature": given}

    assert expected == artifact_options(**options).temperature  # type: ignore[typeddict-item]


@pytest.mark.parametrize("given", ["warm", "", "0", "-1", "nan", "inf"])
def test_anything_else_is_no_temperature(given: str) -> None:
    """What arrived, and what would do."""
    with pytest.raises(InputError, match=r"temperature .*, expected") as caught:
        artifact_options(temperature=given)

    assert caught.value.hint
