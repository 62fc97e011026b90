"""Recommendations in cases made by hand, where the answer is plain."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

from edge_ood.artifact.metadata import HeadRecord
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.evaluation.recommendation import heads_with_gradient, recommend
from edge_ood.evaluation.results import ArtifactResult, IdResult, OodResult, Reliability
from edge_ood.metrics.detection import PairMetrics

LEVEL = 0.95
N_ID = 1000


def ood(aurocs, *, n=500, group="", kind="files", n_id=N_ID):
    """A set on which heads have these AUROCs."""
    return OodResult(
        n=n,
        group=group,
        kind=kind,
        seen={},
        mean_max_probability=0.5,
        flagged=dict.fromkeys(aurocs, 0.5),
        metrics={
            head: PairMetrics(n_id, n, auroc, 0.5, 0.5, 0.5, 0.5, 0.5)
            for head, auroc in aurocs.items()
        },
    )


def artifact(sets, *, name="oe", primary="energy", n_id=N_ID):
    """An artefact with what it achieves on sets."""
    heads = tuple(next(iter(sets.values())).metrics) if sets else ("energy",)
    on_id = IdResult(
        n=n_id,
        is_labelled=False,
        seen={},
        accuracy=math.nan,
        mean_max_probability=0.5,
        mean_max_probability_right=math.nan,
        mean_max_probability_wrong=math.nan,
        expected_calibration_error=math.nan,
        rms_calibration_error=math.nan,
        reliability=Reliability(),
        intervals={},
        heads={},
    )
    return ArtifactResult(
        name=name,
        path=f"./{name}.onnx",
        sha256="",
        n_bytes=1,
        precision="fp32",
        heads=heads,
        primary=primary,
        alpha=0.05,
        objective="",
        id=on_id,
        ood=sets,
    )


def replicates(artifacts, deviation=0.01):
    """Replicates around every AUROC, whose errors are independent and normal."""
    rng = np.random.default_rng(0)
    return {
        a.name: {
            name: {
                head: pair.auroc + rng.normal(0, deviation, 2000)
                for head, pair in r.metrics.items()
            }
            for name, r in a.ood.items()
        }
        for a in artifacts
    }


def choose(*artifacts, gradients=None, deviation=0.01, bootstrap=True):
    aurocs = replicates(artifacts, deviation) if bootstrap else {}
    return recommend(artifacts, aurocs, gradients or {}, level=LEVEL)


def test_a_clear_winner_is_taken():
    """Also against the primary head; differences are those of the replicates."""
    found = choose(artifact({"svhn": ood({"energy": 0.8, "msp": 0.7, "mahalanobis": 0.95})}))

    assert ("oe", "mahalanobis") == (found.model, found.head)
    assert pytest.approx(0.95) == found.mean_auroc
    assert ["energy", "msp"] == [rival.head for rival in found.rivals]
    assert [0.15, 0.25] == pytest.approx([rival.difference for rival in found.rivals])
    reach = 1.96 * 0.01 * math.sqrt(2)
    assert (0.15 - reach, 0.15 + reach) == pytest.approx(
        (found.rivals[0].interval.low, found.rivals[0].interval.high), abs=0.002
    )
    assert found.sentences[0] == (
        "The head 'mahalanobis' has the highest mean AUROC on 'svhn', 95.00% (95% interval "
        f"{100 * found.interval.low:.2f} to {found.interval.high:.2%}), and leads 'energy' by more "
        "than chance in these images explains."
    )


def test_the_primary_head_wins_a_tie():
    """It is taken though another is higher, if by no more than chance; the rival is above it."""
    found = choose(artifact({"svhn": ood({"msp": 0.91, "energy": 0.9, "odin": 0.5})}))

    assert "energy" == found.head
    assert "msp" == found.rivals[0].head
    assert pytest.approx(-0.01) == found.rivals[0].difference
    assert "is the primary one, and these images do not tell its mean AUROC" in found.sentences[0]
    assert "from the highest, 91.00% of 'msp'." in found.sentences[0]


def test_a_gradient_loses_a_tie():
    """A head that costs a second pass is not taken for a lead that may be chance."""
    tied = artifact({"svhn": ood({"odin": 0.91, "msp": 0.9, "energy": 0.5})})

    found = choose(tied, gradients={"oe": {"odin"}})

    assert "msp" == found.head
    assert "'msp' needs no gradient" in found.sentences[0]
    assert "odin" == choose(tied).head


def test_the_primary_head_wins_a_tie_with_a_gradient():
    """Its second pass is paid for already."""
    tied = artifact({"svhn": ood({"energy": 0.91, "odin": 0.9})}, primary="odin")

    assert "odin" == choose(tied, gradients={"oe": {"odin"}}).head


def test_a_gradient_wins_where_it_is_better():
    """A lead beyond chance is worth a second pass."""
    better = artifact({"svhn": ood({"odin": 0.97, "msp": 0.9, "energy": 0.5})})

    assert "odin" == choose(better, gradients={"oe": {"odin"}}).head


def test_equal_errors_cancel():
    """A small lead that every replicate has is beyond chance, however wide the replicates."""
    only = artifact({"svhn": ood({"energy": 0.9, "msp": 0.905})})
    shared = 0.05 * np.random.default_rng(1).normal(size=1000)
    aurocs = {"oe": {"svhn": {"energy": 0.9 + shared, "msp": 0.905 + shared}}}

    found = recommend([only], aurocs, {}, level=LEVEL)

    assert "msp" == found.head
    assert (0.005, 0.005) == pytest.approx(
        (found.rivals[0].interval.low, found.rivals[0].difference)
    )


def test_every_group_has_the_same_weight():
    """One near set outweighs two far ones; without groups each set counts alike."""
    rates = {"energy": (0.6, 0.9, 0.9), "msp": (0.8, 0.75, 0.75)}

    def sets(*groups):
        return {
            f"set{i}": ood({head: of[i] for head, of in rates.items()}, group=group)
            for i, group in enumerate(groups)
        }

    grouped, flat = choose(artifact(sets("near", "far", "far"))), choose(artifact(sets("", "", "")))

    assert ("msp", pytest.approx(0.775)) == (grouped.head, grouped.mean_auroc)
    assert ("energy", pytest.approx(0.8)) == (flat.head, flat.mean_auroc)
    assert "over 3 OOD sets in 2 groups of equal weight, 77.50%" in grouped.sentences[0]
    assert "over 3 OOD sets, 80.00%" in flat.sentences[0]


def test_files_decide_before_synthetic_images():
    """A head that is good on noise alone is not taken, and the sentence says what did not count."""
    sets = {
        "svhn": ood({"energy": 0.9, "mahalanobis": 0.7}),
        "gaussian": ood({"energy": 0.5, "mahalanobis": 1.0}, kind="synthetic", group="far"),
        "fgsm": ood({"energy": 0.5, "mahalanobis": 0.99}, kind="adversarial"),
    }

    found = choose(artifact(sets))

    assert ("energy", pytest.approx(0.9)) == (found.head, found.mean_auroc)
    assert found.sentences[1] == (
        "It was chosen on these test images, 1,000 of ID and 500 of OOD "
        "(synthetic ones did not count), which flatters it a little."
    )


def test_synthetic_images_alone_are_weak_evidence():
    """They decide where there is nothing else, and the sentence says so."""
    sets = {"gaussian": ood({"energy": 0.5, "msp": 0.9}, kind="synthetic", n=99)}

    found = choose(artifact(sets))

    assert "msp" == found.head
    assert found.sentences[1].endswith(
        "; that is weak evidence, because all OOD images are synthetic and a set has "
        "fewer than 100 images."
    )


@pytest.mark.parametrize(("n_id", "n"), [(99, 500), (1000, 99)])
def test_few_images_are_weak_evidence(n_id, n):
    """Of ID or in any set that decides."""
    sets = {"svhn": ood({"energy": 0.9}), "dtd": ood({"energy": 0.9}, n=n)}

    found = choose(artifact(sets, n_id=n_id))

    assert "because a set has fewer than 100 images" in found.sentences[1]


def test_several_artefacts_are_compared():
    """The best pair is taken, and the rivals are all the others."""
    one = artifact({"svhn": ood({"energy": 0.8, "msp": 0.7})}, name="one")
    two = artifact({"svhn": ood({"energy": 0.6, "msp": 0.95})}, name="two")

    found = choose(one, two)

    assert ("two", "msp") == (found.model, found.head)
    assert [("one", "energy"), ("one", "msp"), ("two", "energy")] == [
        (rival.model, rival.head) for rival in found.rivals
    ]
    assert "'msp' of 'two' has the highest" in found.sentences[0]
    assert "leads 'energy' of 'one' by" in found.sentences[0]


def test_of_tied_primary_heads_the_higher_is_taken():
    """Every artefact has one."""
    one = artifact({"svhn": ood({"energy": 0.900})}, name="one")
    two = artifact({"svhn": ood({"energy": 0.901})}, name="two")

    found = choose(one, two)

    assert "two" == found.model
    assert "which these images do not tell from that of 'energy' of 'one'." in found.sentences[0]


def test_only_sets_that_all_artefacts_have_count():
    """A set that one was not run on cannot speak for either; none in common is no answer."""
    one = artifact({"svhn": ood({"energy": 0.7}), "dtd": ood({"energy": 1.0})}, name="one")
    two = artifact({"svhn": ood({"energy": 0.9})}, name="two")
    three = artifact({"lsun": ood({"energy": 0.9})}, name="three")

    assert ("two", pytest.approx(0.9)) == (choose(one, two).model, choose(one, two).mean_auroc)
    assert choose(one, two, three) is None


def test_no_ood_images_no_recommendation():
    """There is nothing to choose by."""
    assert choose(artifact({})) is None


def test_a_head_without_auroc_is_left_out():
    """NaN neither wins nor stands among the rivals; if all are NaN there is no answer."""
    found = choose(artifact({"svhn": ood({"energy": math.nan, "msp": 0.6, "odin": 0.5})}))

    assert "msp" == found.head
    assert ["odin"] == [rival.head for rival in found.rivals]
    assert choose(artifact({"svhn": ood({"energy": math.nan})})) is None


def test_a_single_head_is_the_only_one():
    """There is nothing to compare it with."""
    found = choose(artifact({"svhn": ood({"energy": 0.9})}))

    assert () == found.rivals
    assert found.sentences[0].startswith(
        "The head 'energy' is the only one; its mean AUROC on 'svhn' is 90.00%"
    )


def test_one_image_tells_nothing_apart():
    """Drawing one image always gives the same; the bounds of one pair overlap, so primary wins."""
    sets = {"svhn": ood({"energy": 0.0, "msp": 1.0}, n=1, n_id=1)}

    found = choose(artifact(sets, n_id=1), deviation=0)

    assert "energy" == found.head
    assert (0, pytest.approx(0.975)) == (found.interval.low, found.interval.high)


def test_many_images_at_the_ends_are_told_apart():
    """A perfect head beats one that is always wrong, though no replicate varies."""
    found = choose(artifact({"svhn": ood({"energy": 0.0, "msp": 1.0})}), deviation=0)

    assert "msp" == found.head
    assert 0.99 < found.interval.low < found.interval.high == 1


def test_perfect_sets_add_what_their_bounds_leave_open():
    """With and without another set that varies, by its share of the mean."""
    perfect = {"svhn": ood({"energy": 1.0}, n=50), "dtd": ood({"energy": 1.0}, n=20)}
    left_open = (1 - 0.025 ** (1 / 50) + 1 - 0.025 ** (1 / 20)) / 3
    mean, reach = 2.9 / 3, 1.96 * 0.01 / 3
    ends = np.log(mean / (1 - mean)) + np.array([-1, 1]) * reach / (mean * (1 - mean))

    def found(sets):
        aurocs = replicates([artifact(sets)])
        for name in perfect:
            aurocs["oe"][name]["energy"][:] = 1
        interval = recommend([artifact(sets)], aurocs, {}, level=LEVEL).interval
        return interval.low, interval.high

    assert (1 - left_open * 3 / 2, 1) == pytest.approx(found(perfect), abs=1e-6)
    low, high = 1 / (1 + np.exp(-ends))
    assert (low - left_open, high) == pytest.approx(
        found(perfect | {"lsun": ood({"energy": 0.9})}), abs=3e-4
    )


def test_without_bootstrap_the_largest_mean_is_taken():
    """Intervals are NaN, and the sentence says what is missing; equal means are a tie."""
    found = choose(artifact({"svhn": ood({"energy": 0.9, "msp": 0.901})}), bootstrap=False)
    tied = choose(artifact({"svhn": ood({"msp": 0.9, "energy": 0.9})}), bootstrap=False)

    assert "msp" == found.head
    assert "energy" == tied.head
    assert math.isnan(found.interval.low)
    assert math.isnan(found.rivals[0].interval.high)
    assert found.sentences[0] == (
        "The head 'msp' has the highest mean AUROC on 'svhn', 90.10%, but without bootstrap "
        "its lead over 'energy' may be chance."
    )


def test_a_handful_of_replicates_tells_nothing_apart():
    """Two draws that agree are no evidence against the primary head."""
    only = artifact({"svhn": ood({"energy": 0.6, "msp": 0.9})})
    aurocs = {"oe": {"svhn": {"energy": np.full(2, 0.6), "msp": np.array([0.9, 0.91])}}}

    assert "energy" == recommend([only], aurocs, {}, level=LEVEL).head


def test_many_ties_are_counted():
    """Two are named, in the order of their means."""
    rates = {"energy": 0.9, "msp": 0.899, "odin": 0.898, "mcd_l1": 0.897}

    found = choose(artifact({"svhn": ood(rates)}))

    assert "do not tell from that of 'msp', 'odin' and 1 more." in found.sentences[0]


def test_names_from_files_stay_in_their_line():
    """Control characters of an artefact's name stand as escapes in the sentences."""
    sets = {"svhn": ood({"energy": 0.9})}
    hostile = [artifact(sets, name=name) for name in ("a\nb\x1b[2J", "\u202eb")]

    text = " ".join(choose(*hostile).sentences)

    assert text.isprintable()
    assert "\\x1b[2J" in text


def test_heads_with_gradient_are_those_that_perturb():
    """By the step that they were exported with; `combined` needs what its parts need."""

    def found(*heads, of=()):
        guarantee = Guarantee(combined=True, combined_of=of)
        calibration = SimpleNamespace(guarantee=guarantee)
        return heads_with_gradient(SimpleNamespace(heads=heads, calibration=calibration))

    odin = HeadRecord("odin", {"temperature": 1000.0, "epsilon": 0.0014})
    still = HeadRecord("mahalanobis", {"epsilon": 0.0})

    assert {"odin", "combined"} == found(HeadRecord("energy"), odin, still)
    assert set() == found(HeadRecord("energy"), still)
    assert {"odin"} == found(HeadRecord("energy"), odin, still, of=("energy", "mahalanobis"))


def test_a_head_that_ranks_upside_down_is_named():
    """By a head below one half OOD images look more known than ID images; others are not named."""
    only = artifact({"svhn": ood({"energy": 0.9, "mahalanobis": 0.3, "msp": 0.55})})

    said = " ".join(recommend([only], replicates([only]), {}, level=LEVEL).sentences)

    assert "The head 'mahalanobis' (30.00%) ranks upside down here" in said
    assert "'msp' (" not in said


def test_a_primary_head_that_may_be_chance_is_not_recommended_by_a_tie():
    """With this few images nothing is told apart, but only one of both is surely of use."""
    only = artifact({"svhn": ood({"energy": 0.52, "msp": 0.6})})
    drawn = replicates([only], deviation=0.05)
    drawn["oe"]["svhn"]["msp"] = 0.6 + (drawn["oe"]["svhn"]["msp"] - 0.6) / 5

    found = recommend([only], drawn, {}, level=LEVEL)

    assert found.rivals[0].interval.low < 0
    assert "msp" == found.head
