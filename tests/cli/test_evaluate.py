"""`edge-ood evaluate` on a scorer whose answers stand in the file names."""

import csv
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

import edge_ood.api.evaluation_files
import edge_ood.evaluation.artifacts
from edge_ood.artifact.model_file import ModelFile
from edge_ood.artifact.outputs import Scores
from edge_ood.artifact.packed import Manifest
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.cli.app import app
from edge_ood.images.reading import content_hash

CLASSES = ("ant", "bee")
THRESHOLD = 0.5

# Worked out by hand from the scores in the names below: ID 0.1, 0.2 and 0.6 are predicted right,
# 0.3 wrong; OOD are 0.55 and 0.9; all predictions are 3/4 sure.
TABLES = """\
ID: 4 images
objective classifier-discrepancy:mode=transductive\\x1b,margin=1.2
accuracy 75.00 % (1 wrong), ECE 0.00 %, RMS 0.00 %
mean probability of the predicted class 75.00 %: right 75.00 %, wrong 75.00 %

                                accuracy  wrong vs right       AUPR with       AUPR with
head                    TPR  of accepted           AUROC  wrong positive  right positive
--------------------  -----  -----------  --------------  --------------  --------------
energy *              75.00        66.67           66.67           50.00           91.67
relative_mahalanobis  75.00        66.67           66.67           50.00           91.67

OOD far: 2 images against 4 of ID
objective classifier-discrepancy:mode=transductive\\x1b,margin=1.2
mean probability of the predicted class 75.00 %

                                                  FPR95     FPR95  detection
head                  AUROC  AUPR-In  AUPR-Out  ID-pos.  OOD-pos.      error  flagged
--------------------  -----  -------  --------  -------  --------  ---------  -------
energy *              87.50    95.00     83.33    50.00     25.00      12.50   100.00
relative_mahalanobis  87.50    95.00     83.33    50.00     25.00      12.50   100.00"""


class NamedScorer:
    """Predicts from file names: `ant_0.3.png` is seen as an ant with the score 0.3."""

    heads = ("energy", "relative_mahalanobis")
    manual_thresholds = ()
    temperature = 1.0
    manifests: ClassVar[dict[str, Manifest]] = {}

    def __init__(self, path, *, provider="auto", threads=None):
        self.path = Path(path)
        content = self.path.read_bytes()
        self.file = ModelFile(self.path, content_hash(content), len(content))
        self.metadata = SimpleNamespace(
            precision="fp32",
            temperature=self.temperature,
            heads=(),
            classes=CLASSES,
            primary="energy",
            calibration=SimpleNamespace(
                alpha=0.05,
                manual_thresholds=self.manual_thresholds,
                per_class=False,
                guarantee=Guarantee(),
                thresholds=dict.fromkeys(self.heads, THRESHOLD),
            ),
            manifests=self.manifests,
            provenance={
                "objective": "classifier-discrepancy",
                "objective_parameters": {"mode": "transductive\x1b", "margin": 1.2},
            },
        )

    def score_files(self, paths, *, batch_size=8, on_image=lambda: None):
        """Answer for each path."""
        label, score = zip(*(path.stem.split("_") for path in paths), strict=True)
        index = np.array([CLASSES.index(name) for name in label])
        values = np.array(score, np.float32)
        for _ in paths:
            on_image()
        scores = dict.fromkeys(self.heads, values)
        return Scores(
            classes=CLASSES,
            label_index=index,
            is_ood=values > THRESHOLD,
            pvalue=values,
            logits=np.log(np.eye(2)[index] * 2 + 1).astype(np.float32),  # probability 3/4
            scores=scores,
            pvalues=scores,
            decisions=dict.fromkeys(self.heads, values > THRESHOLD),
        )


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """Known, far and near images, in a working directory of their own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(edge_ood.evaluation.artifacts, "Scorer", NamedScorer)
    names = (
        "known/ant/ant_0.1",
        "known/ant/bee_0.3",
        "known/bee/bee_0.2",
        "known/bee/bee_0.6",
        "far/ant_0.55",
        "far/bee_0.9",
        "plain/near/ant_0.4",
    )
    for name in names:
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "x.onnx").write_text("x")
    (tmp_path / "y.onnx").write_text("y")
    return tmp_path


def run(*arguments):
    """Run `edge-ood evaluate x.onnx` with these arguments."""
    return CliRunner().invoke(app, ["evaluate", "x.onnx", *arguments])


def test_tables_show_every_number(folders):
    """One block for ID and one per OOD set, in percent, the primary head marked."""
    output = run("--id", "known", "--ood", "far", "--bootstrap", "0").stdout

    assert output[: output.index("\n\nRates are percentages")] == TABLES


def test_intervals_stand_below_their_rates(folders):
    """Those of the JSON, with one decimal, and the legend says how they were made."""
    output = run("--id", "known", "--ood", "far", "--bootstrap", "50", "--json", "found").stdout

    document = json.loads((folders / "found").read_text())
    (model,) = document["models"]
    found = model["ood"]["far"]["intervals"]["energy"]
    low, high = (f"{100 * found['auroc'][end]:.1f}" for end in ("low", "high"))
    table = output[output.index("OOD far") :].splitlines()
    (row,) = (table[i + 1] for i, line in enumerate(table) if line.startswith("energy"))
    assert row.split()[:3] == ["95", "%", f"{low}-{high}".replace("100.0", "100")]
    assert document["bootstrap"] == {"replicates": 50, "level": 0.95, "seed": 0}
    assert "(50 resamples)" in output


def test_the_recommendation_and_the_verdict_come_last(folders):
    """The sentences of the JSON, wrapped."""
    output = run("--id", "known", "--ood", "far", "--json", "found").stdout

    document = json.loads((folders / "found").read_text())
    sentences, verdict = document["recommendation"]["sentences"], document["models"][0]["verdict"]
    assert output.replace("\n", " ").endswith(f"  {' '.join(sentences)}  {verdict} ")
    assert "'energy'" in sentences[0]


def test_a_brief_answer_has_no_tables(folders):
    """What is recommended and the verdict, and nothing else."""
    whole = run("--id", "known", "--ood", "far").stdout

    brief = run("--id", "known", "--ood", "far", "--brief").stdout

    assert brief.startswith("The head 'energy' has the highest mean AUROC")
    assert whole.endswith(f"\n\n{brief}")


@pytest.mark.parametrize(("manual", "said"), [((), "95.00 % promised"), (("energy",), "no rate")])
def test_the_legend_says_what_is_promised(folders, monkeypatch, manual, said):
    """Nothing where a manual threshold decides."""
    monkeypatch.setattr(NamedScorer, "manual_thresholds", manual)

    assert f"({said}" in run("--id", "known").stdout


def test_a_temperature_is_said_with_what_it_does(folders, monkeypatch):
    """The ECE at temperature 1, where the file has another: 3 of 4 are right, and 3/4 was said."""
    monkeypatch.setattr(NamedScorer, "temperature", 2.0)

    output = run("--id", "known", "--bootstrap", "0", "--json", "found.json").stdout

    (model,) = json.loads((folders / "found.json").read_text())["models"]
    confidence = 3**0.5 / (1 + 3**0.5)
    assert f"ECE {100 * (0.75 - confidence):.2f} %" in output
    assert "temperature 2; at temperature 1 the ECE would be 0.00 %" in output
    assert 2.0 == model["temperature"]
    assert 0.75 - confidence == pytest.approx(model["id"]["expected_calibration_error"], abs=1e-6)
    assert 0 == pytest.approx(model["id"]["calibration_error_before"], abs=1e-6)


def test_sets_can_be_named(folders):
    """`--ood NAME=DIR` titles its block, and a block counts its own images."""
    output = run("--id", "known", "--ood", "far", "--ood", "close=plain/near").stdout

    assert "OOD far: 2 images against 4 of ID" in output
    assert "OOD close: 1 image against 4 of ID" in output


def test_tables_fit_a_hundred_columns(folders):
    """The longest head name planned leaves every line within 100 columns."""
    output = run("--id", "known", "--ood", "far").stdout

    assert [] == [line for line in output.splitlines() if len(line) > 100]


def test_json_file_holds_the_document(folders):
    """`--json FILE` writes strict JSON beside the printed tables."""
    result = run("--id", "known", "--ood", "far", "--json", "out/result.json")

    document = json.loads((folders / "out" / "result.json").read_text())
    assert document["models"][0]["ood"]["far"]["metrics"]["energy"]["auroc"] == 0.875
    assert "OOD far" in result.stdout


def test_json_on_standard_output_stands_alone(folders):
    """`--json -` prints the document and nothing else on standard output."""
    result = run("--id", "known", "--ood", "far", "--json", "-")

    assert json.loads(result.stdout)["models"][0]["id"]["accuracy"] == 0.75


def test_existing_json_file_needs_force(folders):
    """An existing file is refused by name, and replaced with `--force`."""
    (folders / "result.json").write_text("precious")

    refused = run("--id", "known", "--json", "result.json")
    kept = (folders / "result.json").read_text()
    run("--id", "known", "--json", "result.json", "--force")

    assert (refused.exit_code, kept) == (1, "precious")
    assert "error: 'result.json' exists" in refused.stderr
    assert "--force" in refused.stderr
    assert json.loads((folders / "result.json").read_text())["models"][0]["primary"] == "energy"


def test_csv_file_holds_the_table(folders):
    """`--csv FILE` writes a row per set and head beside the printed tables."""
    result = run("--id", "known", "--ood", "far", "--csv", "out/found.csv")

    with (folders / "out" / "found.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [("id", ""), ("files", "far"), ("group", "all")] == [
        (row["kind"], row["set"]) for row in rows[::2]
    ]
    assert "0.875" == rows[2]["auroc"]
    assert "OOD far" in result.stdout


def test_csv_on_standard_output_stands_alone(folders):
    """`--csv -` prints the table and nothing else on standard output."""
    result = run("--id", "known", "--ood", "far", "--csv", "-", "--json", "found.json")

    assert 6 == len(list(csv.DictReader(result.stdout.splitlines())))
    assert (folders / "found.json").is_file()


def test_two_outputs_cannot_be_standard_output(folders):
    """A usage error that names both options, before anything is scored."""
    result = run("--id", "known", "--csv", "-", "--json", "-")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "--json - and --csv - would both write" in result.stderr


@pytest.mark.parametrize("option", ["--report", "--figures"])
def test_pages_and_figures_are_files(folders, option):
    """A usage error, and no file of that name."""
    result = run("--id", "known", option, "-")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "cannot write to standard output" in result.stderr


def test_two_outputs_cannot_be_one_file(folders):
    """One would replace the other."""
    result = run("--id", "known", "--csv", "found", "--json", "found")

    assert result.exit_code == 1
    assert "'found' is to be two outputs" in result.stderr


def test_a_page_and_figures_are_written(folders):
    """Beside the tables, once everything is measured."""
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")

    result = run("--id", "known", "--ood", "far", "--report", "out/page.html", "--figures", "drawn")

    page = (folders / "out" / "page.html").read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "relative_mahalanobis" in page
    assert {".png", ".svg"} == {path.suffix for path in (folders / "drawn").iterdir()}
    assert "OOD far" in result.stdout


@pytest.mark.parametrize(
    ("option", "module"), [("--report", "jinja2"), ("--report", "matplotlib"), ("--figures", "mat")]
)
def test_a_missing_library_is_named_first(folders, monkeypatch, option, module):
    """Nothing is opened or scored before, and the hint has the extra."""
    monkeypatch.setattr(
        edge_ood.api.evaluation_files,
        "find_spec",
        lambda name: None if name.startswith(module) else name,
    )
    monkeypatch.setattr(edge_ood.evaluation.artifacts, "Scorer", None)

    result = run("--id", "known", option, "made.html")

    assert (result.exit_code, result.stdout) == (1, "")
    assert f"error: {option} needs {module}" in result.stderr
    assert "edge-ood[report]" in result.stderr


def test_a_folder_of_figures_needs_force(folders):
    """A folder with something in it is refused before anything is scored."""
    result = run("--id", "known", "--figures", "plain")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "folder 'plain' is not empty" in result.stderr


def test_folders_outside_utf8_are_reported(folders):
    """Bytes of a name that are no text stand as escapes in every output."""
    odd = os.fsdecode(b"odd\xff")
    (folders / "far").rename(folders / odd)

    result = run("--id", odd, "--ood", odd, "--json", "a", "--csv", "b")

    document = json.loads((folders / "a").read_text("utf-8"))
    assert (result.exit_code, document["id_folder"]) == (0, "odd\\xff")
    assert ["odd\\xff"] == list(document["models"][0]["ood"])
    assert "OOD odd\\xff: 2 images" in result.stdout


def test_missing_accuracy_is_explained(folders):
    """ID images outside class folders leave `n/a` cells and a sentence that says why."""
    output = run("--id", "plain").stdout

    assert "No accuracy: that needs every image below a folder named after" in output
    assert "n/a" in output


def test_undefined_metric_is_a_warning_on_standard_error(folders):
    """A classifier without mistakes gives one warning for all heads, and no traceback."""
    (folders / "known" / "ant" / "bee_0.3.png").unlink()

    result = run("--id", "known", "--ood", "far")

    assert result.stderr.count("warning: misclassification detection is undefined") == 1
    assert "warning" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--id", "nowhere"), "no folder 'nowhere'"),
        (("--id", "known", "--ood", "empty"), "no images under 'empty'"),
    ],
)
def test_unusable_folder_is_named(folders, arguments, message):
    """A missing or empty folder is an error that names it."""
    (folders / "empty").mkdir()

    result = run(*arguments)

    assert (result.exit_code, result.stdout) == (1, "")
    assert f"error: {message}" in result.stderr


def test_id_folder_is_required(folders):
    """Without `--id` the usage error names the option."""
    result = run("--ood", "far")

    assert result.exit_code == 2
    assert "--id" in result.stderr


SEEN = {"training": Manifest.of([content_hash(b"known/ant/ant_0.1")])}


def test_overlapping_images_are_refused(folders, monkeypatch):
    """The error names artefact, role and file before anything is scored, and the way out."""
    monkeypatch.setattr(NamedScorer, "manifests", SEEN)
    monkeypatch.setattr(NamedScorer, "score_files", None)

    result = run("--id", "known", "--ood", "far")

    assert (result.exit_code, result.stdout) == (1, "")
    message = "'./known/ant/ant_0.1.png' is among the training images of './x.onnx'"
    assert message in result.stderr
    assert "--allow-seen" in result.stderr


def test_a_role_comes_from_a_file(folders, monkeypatch):
    """What an artefact calls its images cannot steer the terminal."""
    monkeypatch.setattr(NamedScorer, "manifests", {"\x1b[2J": SEEN["training"]})

    refused, allowed = run("--id", "known"), run("--id", "known", "--allow-seen")

    assert "\\x1b[2J images" in refused.stderr
    assert "\\x1b[2J images" in allowed.stdout
    assert "\x1b[2J" not in refused.stderr + allowed.stdout


def test_overlapping_images_are_counted_on_demand(folders, monkeypatch):
    """With --allow-seen text and JSON say how many there were."""
    monkeypatch.setattr(NamedScorer, "manifests", SEEN)

    result = run("--id", "known", "--allow-seen", "--json", "found.json")

    document = json.loads((folders / "found.json").read_text())
    assert "ID: 4 images (1 of them were training images of this artefact)" in result.stdout
    assert document["allowed_seen"] is True
    assert document["models"][0]["id"]["seen"] == {"training": 1}


def test_groups_are_reported(folders):
    """Near and far sets are marked, with means over groups of several sets."""
    sets = ("--near", "plain/near", "--far", "far", "--far", "more=far", "--ood", "rest=far")

    output = run("--id", "known", *sets).stdout

    titles = [
        line
        for line in output.splitlines()
        if line.startswith(("OOD", "NEAR", "FAR", "MEAN")) and ":" in line
    ]
    assert titles == [
        "OOD rest: 2 images against 4 of ID",
        "NEAR OOD near: 1 image against 4 of ID",
        "FAR OOD far: 2 images against 4 of ID",
        "FAR OOD more: 2 images against 4 of ID",
        "MEAN over the far OOD sets: far, more",
        "MEAN over all OOD sets: rest, near, far, more; groups weigh the same",
    ]


def test_artefacts_stand_side_by_side(folders):
    """Each has its own tables, one line in a table of all, and a column in one of all sets."""
    sets = ("--id", "known", "--ood", "far", "--ood", "plain", "--bootstrap", "0")

    output = CliRunner().invoke(app, ["evaluate", "x.onnx", "y.onnx", *sets]).stdout

    titles = [line for line in output.splitlines() if line.startswith("MODEL ")]
    assert ["MODEL x: ./x.onnx", "MODEL y: ./y.onnx"] == titles
    table = output[output.index("MODELS side by side") :].splitlines()
    assert "y      energy  0.00     75.00  75.00  81.25    75.00     25.00    50.00" in table
    assert "far    87.50  87.50" in table
    assert "plain  75.00  75.00" in table


def test_one_artefact_twice_is_refused(folders):
    """A copy is no other artefact."""
    (folders / "y.onnx").write_text("x")

    result = CliRunner().invoke(app, ["evaluate", "x.onnx", "y.onnx", "--id", "known"])

    assert result.exit_code == 1
    assert "'y.onnx' is the same file as './x.onnx'" in result.stderr


def test_corrupted_images_are_reported(artifact_path, digit_folders):
    """Accuracy, alarms and AUROC of the primary head at five strengths, with the counts."""
    folder = str(digit_folders / "test")

    result = CliRunner().invoke(
        app,
        ["evaluate", str(artifact_path), "--id", folder, "--corrupted", "blur:count=40,noise"],
    )

    lines = result.stdout.splitlines()
    starts = [line for line in lines if line.startswith("CORRUPTED")]
    assert [
        "CORRUPTED ID images: accuracy",
        "CORRUPTED ID images: flagged by combined",
        "CORRUPTED ID images: AUROC of combined against clean ones",
    ] == starts
    (headings,) = {tuple(line.split()) for line in lines if line.startswith("strength")}
    assert ("strength", "1", "2", "3", "4", "5") == headings
    rows = [line for line in lines if line.startswith(("blur, 40 images", "noise, 361 images"))]
    assert 6 == len(rows)


# By hand from the names below: 0.2 and 0.7 are predicted right, 0.4 and 0.8 wrong, and half are
# flagged. Of 16 pairs of a known and an OOD image, 13 are in order.
SHIFTED = """\
SHIFTED night: 4 images of the classes, none to be flagged
objective classifier-discrepancy:mode=transductive\\x1b,margin=1.2
accuracy 50.00 %, on ID images 75.00 %; ECE 25.00 %
mean probability of the predicted class 75.00 %

                               flagged  promised     accuracy
head                  flagged    of ID     of ID  of accepted
--------------------  -------  -------  --------  -----------
energy *                50.00    25.00      5.00        50.00
relative_mahalanobis    50.00    25.00      5.00        50.00

FULL SPECTRUM: ID and night together, and ID alone, against OOD

                                                        FPR95
                                      AUROC    FPR95  ID-pos.
OOD set  head                  AUROC  of ID  ID-pos.    of ID
-------  --------------------  -----  -----  -------  -------
far      energy *              81.25  87.50    50.00    50.00
far      relative_mahalanobis  81.25  87.50    50.00    50.00
"""


@pytest.fixture
def night(folders):
    """A folder of shifted images."""
    for name in ("ant/ant_0.2", "ant/bee_0.4", "bee/bee_0.7", "bee/ant_0.8"):
        path = folders / "night" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"night {name}")
    return folders


def test_shifted_images_are_reported(night):
    """What is flagged beside ID and promise, accuracies, and OOD against both together."""
    output = run("--id", "known", "--ood", "far", "--shifted", "night", "--bootstrap", "0").stdout

    assert SHIFTED in output
    assert "SHIFTED: flagged    shifted images flagged by that threshold: smaller" in output
    assert "SHIFTED" not in run("--id", "known", "--ood", "far").stdout


def test_shifted_images_are_in_every_file(night):
    """The document has the rates by set and head, the table its rows."""
    files = ("--json", "found.json", "--csv", "found.csv", "--bootstrap", "40")
    result = run("--id", "known", "--ood", "far", "--shifted", "dark=night", *files)

    (model,) = json.loads((night / "found.json").read_text())["models"]
    shifted = model["shifted"]["dark"]
    assert (0, 4, 0.5, "night") == (
        result.exit_code,
        shifted["n"],
        shifted["accuracy"],
        shifted["source"],
    )
    assert 0.5 == shifted["heads"]["energy"]["flagged"]
    assert {"low", "high"} == set(shifted["heads"]["energy"]["intervals"]["flagged"])
    assert 0.8125 == shifted["full_spectrum"]["far"]["metrics"]["energy"]["auroc"]
    with (night / "found.csv").open(newline="") as file:
        kinds = [row["kind"] for row in csv.DictReader(file)]
    assert ["shifted", "shifted", "full-spectrum", "full-spectrum"] == kinds[-4:]


def test_shifted_sets_stand_side_by_side(night):
    """What the primary heads flag, and the accuracy, of each artefact."""
    sets = ("--id", "known", "--shifted", "night", "--bootstrap", "0")

    output = CliRunner().invoke(app, ["evaluate", "x.onnx", "y.onnx", *sets]).stdout

    table = output[output.index("Flagged of each shifted set, by primary heads") :].splitlines()
    assert ["night", "50.00", "50.00"] == table[4].split()
    assert "Accuracy on each shifted set" in table


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ("plain", "'plain/near' of the shifted set 'plain' is no class of './x.onnx'"),
        ("nowhere", "no folder 'nowhere'"),
        ("gaussian", "no folder 'gaussian'"),
        ("far=known", "'far' is given twice"),
    ],
)
def test_what_cannot_be_a_shifted_set_is_one_line(night, given, error):
    """And a hint; nothing is scored."""
    result = run("--id", "known", "--ood", "far", "--shifted", given)

    assert (result.exit_code, result.stdout) == (1, "")
    assert f"error: {error}" in result.stderr
    assert "hint: " in result.stderr


def test_command_on_an_artefact(artifact_path, digit_folders):
    """The command on real images prints tables and ends well."""
    sets = [f"--ood={digit_folders / name}" for name in ("near", "far")]

    result = CliRunner().invoke(
        app, ["evaluate", str(artifact_path), f"--id={digit_folders / 'test'}", *sets]
    )

    assert result.exit_code == 0
    titles = [line for line in result.stdout.splitlines() if line.startswith(("ID:", "OOD "))]
    assert ["ID", "OOD near", "OOD far"] == [title.split(":")[0] for title in titles]
