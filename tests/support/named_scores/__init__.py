"""A scorer whose answers stand in the file names, and evaluations with it."""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from edge_ood.artifact.outputs import Scores
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.evaluation.artifacts import OpenArtifact
from edge_ood.evaluation.evaluate import measure_answers, score_plan
from edge_ood.evaluation.plan import plan_evaluation
from edge_ood.images.folders import ImageSet
from edge_ood.images.reading import content_hash

THRESHOLD = 0.5
CLASSES = ("ant", "bee", "cat")


class NamedScorer:
    """Answers from file names: `bee_0.3.png` is predicted as bee with the scores 0.3 and -0.3."""

    heads = ("energy", "msp")

    def __init__(self, manifests=None, provenance=None):
        self.metadata = SimpleNamespace(
            precision="fp32",
            temperature=1.0,
            heads=(),
            provenance=provenance or {},
            classes=CLASSES,
            primary="energy",
            calibration=SimpleNamespace(alpha=0.05, manual_thresholds=(), guarantee=Guarantee()),
            manifests=manifests or {},
        )

    def score_files(self, paths, *, batch_size=8, on_image=lambda: None):
        """Answer for each path."""
        label, score = zip(*(path.stem.split("_") for path in paths), strict=True)
        index = np.array([CLASSES.index(name) for name in label])
        energy = np.array(score, np.float32)
        for _ in paths:
            on_image()
        scores = {"energy": energy, "msp": -energy}
        scores = {head: scores[head] for head in self.heads}
        decisions = {head: ~(values <= THRESHOLD) for head, values in scores.items()}
        return Scores(
            classes=CLASSES,
            label_index=index,
            is_ood=decisions[self.metadata.primary],
            pvalue=energy,
            logits=np.log(np.eye(3)[index] + 1).astype(np.float32),  # probability 1/2 of the label
            scores=scores,
            pvalues=scores,
            decisions=decisions,
        )


def images(*names, labels=None, classes=CLASSES):
    paths = tuple(Path("set", f"{name}.png") for name in names)
    hashes = tuple(content_hash(path.name.encode()) for path in paths)
    return ImageSet(paths, None if labels is None else np.array(labels), classes, hashes)


ID_IMAGES = images("ant_0.1", "bee_0.2", "bee_0.6", "cat_0.7", labels=[0, 1, 0, 2])


OOD_IMAGES = images("ant_0.4", "cat_0.8", "cat_0.9")


@dataclass
class Files:
    """An OOD set of these images, as if it were a folder."""

    name: str
    found: ImageSet
    group: str = ""
    kind: str = "files"
    source: str = "folder"

    def images(self, scorer, id_images):
        """The same for every artefact."""
        return self.found


def evaluate(plan, *, on_image=lambda: None, **measuring):
    """Score, then measure."""
    answers = score_plan(plan, batch_size=8, on_image=on_image)
    return measure_answers(plan, answers, **measuring)


def named(scorer, name="named"):
    """A scorer as an artefact of that name."""
    thresholds = dict.fromkeys(scorer.heads, (THRESHOLD,) * 3)
    return OpenArtifact(name, f"./{name}.onnx", "abc", 7, scorer, thresholds)


def run(scorers, id_images, sets, *, allow_overlap=False, **options):
    """The evaluation of artefacts on image sets."""
    ood = [Files(name, images) for name, images in sets.items()]
    artifacts = [named(scorer, name) for name, scorer in scorers.items()]
    plan = plan_evaluation(artifacts, "set", id_images, ood, allow_overlap=allow_overlap)
    return evaluate(plan, **options)


def measure(scorer, id_images, sets, **options):
    """The result of one artefact."""
    (artifact,) = run({"named": scorer}, id_images, sets, **options).models
    return artifact
