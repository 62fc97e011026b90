"""What every page must be, and one sample of each page, named after its template."""

import json
import math
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import onnx
import pytest
from PIL import Image

from edge_ood.artifact.metadata import store_metadata
from edge_ood.artifact.outputs import Row
from edge_ood.artifact.reader import read_metadata
from edge_ood.attachment.request import Options
from edge_ood.calibration.guarantee import Guarantee
from edge_ood.evaluation.results import (
    CorruptedResult,
    CorruptionResult,
    Evaluation,
    GroupResult,
    HeadOnId,
    IdResult,
    ModelResult,
    OodResult,
    Recommendation,
    Rival,
)
from edge_ood.evaluation.values import (
    Bootstrap,
    ClassAlarms,
    Example,
    GroupMetrics,
    Histogram,
    Interval,
    PValueCurve,
    Reliability,
    ThresholdCurve,
)
from edge_ood.files.output import report_path
from edge_ood.foreign.attach_foreign import attach_foreign
from edge_ood.foreign.conventions import ForeignClassifier
from edge_ood.foreign.known_images import KnownFolders
from edge_ood.images.folders import ImageSet
from edge_ood.images.preprocess import Preprocess
from edge_ood.metrics.detection import Misclassification, PairMetrics
from edge_ood.registry import Spec, parse_specs
from edge_ood.runtime.scorer import Scorer
from edge_ood.training.energies import Energies, EnergySample, write_energies
from edge_ood.training.run_directory import (
    SPLITS,
    EpochReport,
    Run,
    RunConfig,
    Start,
    write_metrics,
    write_run,
)
from edge_ood.training.settings import Settings

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
IMPLIED_END = {"p": {"div", "dl", "ul", "ol", "table", "figure", "section", "p", "h2", "details"}}
FORBIDDEN = {"script", "iframe", "object", "embed", "form", "link", "base", "foreignObject"}
ADDRESSES = {"src", "href", "srcset", "action", "data", "poster", "xlink:href"}


@pytest.fixture(scope="session")
def check_page() -> Callable[[str], None]:
    """Asserts that a page is sound HTML, stands alone, and can be read by everyone."""
    return _check_page


class _Page(HTMLParser):
    """A page taken apart; what is wrong with its structure is in `faults`."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.tags: Counter[str] = Counter()
        self.headings: list[int] = []
        self.ids: Counter[str] = Counter()
        self.references: set[str] = set()
        self.meta: dict[str, str] = {}
        self.language = ""
        self.title = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self._open]

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if self._open and tag in IMPLIED_END.get(self._open[-1], ()):
            self.faults.append(f"<{tag}> in <{self._open[-1]}>")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        values = dict(attrs)
        self.tags[tag] += 1
        if len(values) < len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        for name, value in values.items():
            self._look_at(tag, name, value or "")
        if tag == "html":
            self.language = values.get("lang", "")
        if tag == "meta":
            self.meta[values.get("name") or values.get("http-equiv", "charset")] = values.get(
                "content", ""
            )
        if tag == "img" and not values.get("alt"):
            self.faults.append("an image without alternative text")
        if tag == "svg" and not (values.get("role") == "img" and "aria-labelledby" in values):
            self.faults.append("a figure without a title")

    def handle_endtag(self, tag):
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> where {self._open[-1:]} is open")
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data):
        if self._open[-1:] == ["title"] and "svg" not in self._open:
            self.title += data
        if self._open[-1:] == ["style"] and re.search(r"url\(|@import|</", data):
            self.faults.append("a style sheet that loads something")

    def _look_at(self, tag, name, value):
        assert not name.startswith("on"), f"a script in {name} of <{tag}>"
        if name == "id":
            self.ids[value] += 1
        if name in ("aria-labelledby", "aria-describedby", "for", "headers"):
            self.references |= set(value.split())
        if name in ADDRESSES and value.startswith("#"):
            self.references.add(value[1:])
        elif name in ADDRESSES and not value.startswith("data:image/"):
            self.faults.append(f"{name}={value[:40]!r} of <{tag}>")
        for url in re.findall(r"url\(([^)]*)\)", value):
            if url.startswith("#"):
                self.references.add(url[1:])
            elif tag != "meta":
                self.faults.append(f"{name} of <{tag}> loads {url[:40]!r}")


def _check_page(html: str) -> None:
    page = _Page(html)
    jumps = [b for a, b in zip([0, *page.headings], page.headings, strict=False) if b > a + 1]
    odd = {mark for mark in html if not (mark.isprintable() or mark == "\n")}

    assert html.startswith("<!DOCTYPE html>\n")
    assert page.faults == []
    assert FORBIDDEN & set(page.tags) == set()
    assert {name for name, count in page.ids.items() if count > 1 or not name} == set()
    assert page.references - set(page.ids) == set()
    assert page.meta["Content-Security-Policy"] == POLICY
    assert "width=device-width" in page.meta["viewport"]
    assert page.language == "en"
    assert page.title.strip()
    assert page.headings.count(1) == 1
    assert jumps == []
    assert [page.tags[name] for name in ("header", "main", "footer")] == [1, 1, 1]
    assert odd == set()


BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ALONE = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--allow-file-access-from-files", "--enable-logging=stderr"),
)
"""A browser that asks nobody for anything, and says on stderr what a page complains of."""

WIDTHS = (400, 1400)
FRAMES = """<!DOCTYPE html><meta charset="utf-8"><body>
<iframe style="width:400px;height:800px;border:0" src="page.html"></iframe>
<iframe style="width:1400px;height:800px;border:0" src="page.html"></iframe>
<pre id="found"></pre>
<script>
addEventListener("load", () => {
  found.textContent = JSON.stringify([...document.querySelectorAll("iframe")].map(frame => ({
    width: frame.contentDocument.scrollingElement.scrollWidth,
    asked: frame.contentWindow.performance.getEntriesByType("resource").map(entry => entry.name),
  })));
});
</script>
"""


@pytest.fixture
def check_in_browser(tmp_path: Path) -> Callable[[str], None]:
    """Asserts that a page fits a phone and a desktop, asks for nothing and breaks no rule."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("there is no Chromium")

    def check(html: str) -> None:
        folder = tmp_path / "browser"
        folder.mkdir(exist_ok=True)
        (folder / "page.html").write_text(html, "utf-8")
        (folder / "frames.html").write_text(FRAMES, "utf-8")
        options = (*ALONE, f"--user-data-dir={folder / 'profile'}", "--dump-dom")
        done = subprocess.run(
            [browser, *options, (folder / "frames.html").as_uri()],
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=True,
        )
        found = re.search('<pre id="found">(.+)</pre>', done.stdout)
        assert found, done.stderr
        frames = json.loads(found[1])
        assert WIDTHS == tuple(frame["width"] for frame in frames)
        assert [[], []] == [frame["asked"] for frame in frames]
        assert [line for line in done.stderr.splitlines() if ":CONSOLE:" in line] == []

    return check


HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</title></style></table>",
    "{{ 7 * 7 }} {% raw %}",
    "a\x00\x1b[31m\r\n\u202eb\u2066\udcff",
    "javascript:alert(1)",
    "x" * 300,
    "&amp;&lt;",
    "蓝\u2215blue",
    " ",
)
"""Names of classes, files and sets as nobody should choose them."""


@pytest.fixture(scope="session")
def parts_page() -> str:
    """A page with every macro, full of hostile names."""
    from edge_ood.report.figure import label, new_figure, svg
    from edge_ood.report.page import environment
    from edge_ood.report.palette import ID_COLOUR, OOD_COLOUR
    from edge_ood.report.thumbnails import Thumb, thumbnail_of

    figures = []
    generator = np.random.default_rng(0)
    for name in HOSTILE:
        with new_figure(3.6, 2.4) as figure:
            axes = figure.subplots()
            for mean, colour, series in ((0, ID_COLOUR, "known"), (2, OOD_COLOUR, name)):
                counts, edges = np.histogram(generator.normal(mean, 1, 4000), 60)
                shown = {"color": colour, "label": label(series)}
                axes.stairs(counts / 4000, edges, fill=True, alpha=0.35, **shown)
            axes.axvline(1, linestyle="--", color="black")
            axes.set(xlabel="score", ylabel="fraction of images")
            figure.legend(loc="outside upper left")
        drawn = svg(figure, name=name, title=name, description=name)
        figures.append((drawn, name))
    wide = generator.integers(0, 256, (20, 200, 3), np.uint8)
    pictures = [thumbnail_of(wide), thumbnail_of(wide.transpose(1, 0, 2)), None]
    thumbs = [
        Thumb(pictures[i % 3], name, (f"p = 0.{i}", name), is_marked=i % 2 == 0)
        for i, name in enumerate(HOSTILE)
    ]
    return (
        environment()
        .from_string(PARTS)
        .render(names=HOSTILE, figures=figures, thumbs=thumbs, sentence=" ".join(HOSTILE))
    )


@pytest.fixture(scope="session")
def gallery_page(colour_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A gallery of images and other files with hostile names, classes and errors."""
    from edge_ood.report.gallery import Gallery

    folder = tmp_path_factory.mktemp("gallery")
    names = [f"{i}{name.replace('/', '')[:80]}" for i, name in enumerate(HOSTILE)]
    names = [name.replace("\x00", "") for name in names]
    generator = np.random.default_rng(0)
    gallery = Gallery(Scorer(colour_artifact, provider="cpu").metadata, 50)
    for index, name in enumerate(names):
        sides = (20, 400) if index % 2 else (400, 20 * index + 1)
        Image.fromarray(generator.integers(0, 256, (*sides, 3), np.uint8)).save(
            folder / name, "png"
        )
        values = {"label": HOSTILE[index], "is_ood": index < 5, "pvalue": 0.01 * index + 0.001}
        gallery.add(Row(folder / name, "ok", "", {**values, "energy": 3.0}))
        gallery.add(Row(folder / f"{name}.x", "unreadable", f"cannot read '{name}'", {}))
    return gallery.page(artifact=HOSTILE[1], guarantee="\n".join(HOSTILE))


PARTS = """
{%- extends "base.html" %}
{% import "macros.html" as ui %}
{% block title %}{{ names[0] }}{% endblock %}
{% block lead %}<p class="lead">{{ sentence }}</p>{% endblock %}
{% block main %}
{% call ui.summary_box() %}<p>{{ sentence }} <a href="#tables">below</a></p>{% endcall %}
{{ ui.contents([("numbers", "Numbers"), ("tables", names[2]), ("figures", names[0])]) }}
{% call ui.section("numbers", "Numbers") %}
{% set remarks = ["95.10 to 96.80%", ""] %}
{{ ui.key_numbers([("96.01%", "AUROC of energy", remarks[0]), (1234|count, names[0], names[1])]) }}
{{ ui.definitions([(names[0], names[1]), ("classifier", sentence)]) }}
{% call ui.note() %}<p>{{ sentence }}</p>{% endcall %}
{% call ui.note("warning") %}<p>{{ names[4] }} and <code>{{ names[6] }}</code></p>{% endcall %}
{% call ui.details(names[0]) %}<p>{{ sentence }}</p>{% endcall %}
{% call ui.details("more", open=true) %}<p>{{ sentence }}</p>{% endcall %}
{% endcall %}
{% call ui.section("tables", "Tables") %}
{% set rows = namespace(all=[]) %}
{% for name in names * 4 %}
{% set cell = ui.estimate(0.9512|percent, 0.94|percent ~ " to " ~ 0.96|percent) %}
{% set rows.all = rows.all + [[name, name, cell, cell, cell, cell, 1.5, 12345|count]] %}
{% endfor %}
{% set headings = ["set", names[0], "AUROC", "AUPR-In", "AUPR-Out", "FPR95", names[1], "n"] %}
{{ ui.data_table(sentence, headings, rows.all, text=(1,), marked=(2, 7),
                 groups={0: "near", 4: sentence}) }}
{{ ui.data_table("small", ["head", "n"], [["energy", 12|count]]) }}
{% endcall %}
{% call ui.section("figures", "Figures") %}
{{ ui.figure_grid(figures) }}
{{ ui.figure_grid(figures[:0]) }}
<h3>Pictures</h3>
{{ ui.thumb_strip(thumbs) }}
{% endcall %}
{% endblock %}
"""


FIELD_KINDS = {
    "complement": lambda rate: f"{100 * (1 - rate):.2f}%",
    "count": lambda n: f"{n:,}",
    "duration": lambda seconds: spelled(round(seconds)) if seconds >= 60 else f"{seconds:.1f} s",
    "hash": lambda digits: digits[:12],
    "interval": lambda ends: f"{100 * ends['low']:.2f} to {100 * ends['high']:.2f}%",
    "megabytes": lambda n: f"{n / 1e6:.2f} MB",
    "number": lambda value: f"{value:.4g}",
    "percent": lambda rate: f"{100 * rate:.2f}%",
    "pvalue": lambda value: f"{value:.4f}",
    "tail": lambda path: "/".join(path.split("/")[-2:]),
    "text": str,
}
"""How each kind of number is written, said again here."""


def spelled(seconds: int) -> str:
    """A time of a minute or more, in its two largest units."""
    hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


class _Contents(HTMLParser):
    """What a page says: its fields, and all other text but that of figures.

    Attributes:
        fields: Pointer, kind and text of every field.
        bare: Text outside fields, figures and styles.
        numbers: The same, of cells of tables and of key numbers alone.
        tables: By caption, the rows of texts, fields included.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fields: list[tuple[str, str, str]] = []
        self.bare: list[str] = []
        self.numbers: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self._caption = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember where we are."""
        if tag == "br":
            self.handle_data(" ")
        if tag in VOID:
            return
        self._open.append((tag, dict(attrs)))
        if "data-key" in dict(attrs):
            values = dict(attrs)
            self.fields.append((values["data-key"] or "", values["data-as"] or "", ""))
        if tag == "table":
            self._caption = ""
        if tag == "tr":
            self.tables.setdefault(self._caption, []).append([])
        if tag in ("th", "td"):
            self.tables[self._caption][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        self._open.pop()

    def handle_data(self, text: str) -> None:
        """Put a text where it belongs."""
        tags = [tag for tag, _ in self._open]
        if {"svg", "style"} & set(tags):
            return
        if "caption" in tags:
            self._caption += text
        in_cell = {"th", "td"} & set(tags)
        if in_cell:
            self.tables[self._caption][-1][-1] += text
        if any("data-key" in attributes for _, attributes in self._open):
            pointer, kind, shown = self.fields[-1]
            self.fields[-1] = pointer, kind, shown + text
            return
        self.bare.append(text)
        if in_cell or ("class", "key-numbers") in [
            item for _, attributes in self._open for item in attributes.items()
        ]:
            self.numbers.append(text)


def resolved(document: Any, pointer: str) -> Any:
    """The value that a JSON pointer names (RFC 6901)."""
    for part in pointer.removeprefix("#").split("/")[1:]:
        name = unquote(part, errors="surrogateescape").replace("~1", "/").replace("~0", "~")
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


def written(document: Any, pointer: str, kind: str) -> str:
    """How a page has to write a field; a NaN is null in a document."""
    value = resolved(document, pointer)
    if kind == "name":
        return unquote(pointer.rsplit("/", 1)[1]).replace("~1", "/").replace("~0", "~")
    return "n/a" if value is None else FIELD_KINDS[kind](value)


@pytest.fixture(scope="session")
def contents() -> Callable[[str], _Contents]:
    """Takes a page apart into the fields that it shows and all other text."""
    return _Contents


@pytest.fixture(scope="session")
def wrong_fields() -> Callable[[str, Any], list[tuple[str, str]]]:
    """The fields of a page, with pointers, that are not what the document says there."""

    def check(html: str, document: Any) -> list[tuple[str, str]]:
        fields = _Contents(html).fields
        return [(p, shown) for p, kind, shown in fields if shown != written(document, p, kind)]

    return check


FOREIGN_SETS = {"cats": "near", "noise": "far"}
PAIR_METRICS = (
    *("auroc", "aupr_in", "aupr_out", "fpr95_id_positive", "fpr95_ood_positive"),
    *("detection_error", "flagged"),
)


class EvaluationMaker:
    """Draws the values of an evaluation; the same seed gives the same one."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def rate(self) -> float:
        """A rate with more digits than any page shows."""
        return float(self.random.uniform(0.01, 0.99))

    def rising(self, n: int) -> tuple[float, ...]:
        """Rates from 0 to 1."""
        return tuple(np.linspace(0, 1, n) ** self.random.uniform(0.2, 3))

    def interval(self) -> Interval:
        """An interval."""
        return Interval(*sorted((self.rate(), self.rate())))

    def examples(self, folder: str) -> tuple[Example, ...]:
        """Two images."""
        return tuple(
            Example(f"{folder}/{i}.png", self.rate() * 9, self.rate(), "bee", bool(i), "ant")
            for i in range(2)
        )

    def density(self) -> tuple[float, ...]:
        """Fractions of 60 bins."""
        shares = self.random.exponential(size=60)
        return tuple(shares / shares.sum())

    def known_head(self, classes: Sequence[str]) -> HeadOnId:
        """A head on ID images."""
        return HeadOnId(
            realised_tpr=self.rate(),
            accepted_accuracy=self.rate(),
            misclassification=Misclassification(80, 20, self.rate(), self.rate(), self.rate()),
            thresholds=tuple(self.rate() + k for k, _ in enumerate(classes)),
            classes=tuple(
                ClassAlarms(name, 30 + k, self.rate(), 40 + k, self.rate())
                for k, name in enumerate(classes)
            ),
            pvalues=PValueCurve(tuple(np.linspace(0, 1, 201)), self.rising(201)),
            intervals={"realised_tpr": self.interval(), "accepted_accuracy": self.interval()},
            suspicious=self.examples("known"),
        )

    def known(self, heads: Sequence[str], classes: Sequence[str], *, is_labelled: bool) -> IdResult:
        """ID images."""
        rates = [self.rate() if is_labelled else math.nan for _ in range(5)]
        bins = tuple(np.linspace(0.1, 0.9, 15))
        return IdResult(
            n=1234,
            is_labelled=is_labelled,
            seen={},
            accuracy=rates[0],
            mean_max_probability=self.rate(),
            mean_max_probability_right=rates[1],
            mean_max_probability_wrong=rates[2],
            expected_calibration_error=rates[3],
            rms_calibration_error=rates[4],
            reliability=Reliability(bins, bins, tuple(range(15))) if is_labelled else Reliability(),
            intervals={"accuracy": self.interval()} if is_labelled else {},
            heads={head: self.known_head(classes) for head in heads},
        )

    def foreign(self, heads: Sequence[str], group: str) -> OodResult:
        """An OOD set."""
        return OodResult(
            n=int(self.random.integers(1000, 9999)),
            group=group,
            kind="files",
            seen={},
            mean_max_probability=self.rate(),
            flagged={head: self.rate() for head in heads},
            metrics={
                head: PairMetrics(1234, 777, *(self.rate() for _ in PAIR_METRICS[:-1]))
                for head in heads
            },
            intervals={head: {name: self.interval() for name in PAIR_METRICS} for head in heads},
            curves={
                head: ThresholdCurve(self.rising(201), self.rising(201), self.rising(201))
                for head in heads
            },
            histograms={
                head: Histogram(
                    tuple(np.linspace(0, 5, 61)),
                    self.density(),
                    self.density(),
                )
                for head in heads
            },
            trusted={head: self.examples(group) for head in heads},
        )

    def group(self, heads: Sequence[str], sets: Sequence[str]) -> GroupResult:
        """Means over sets."""
        return GroupResult(
            sets=tuple(sets),
            metrics={
                # More than half is flagged, so that no remark depends on chance.
                head: GroupMetrics(*(self.rate() for _ in PAIR_METRICS[:-1]), 0.5 + self.rate() / 2)
                for head in heads
            },
            intervals={head: {name: self.interval() for name in PAIR_METRICS} for head in heads},
        )

    def corruption(self, name: str, heads: Sequence[str]) -> CorruptionResult:
        """One corruption."""
        return CorruptionResult(
            name,
            tuple(
                CorruptedResult(
                    strength=strength,
                    n=1234,
                    accuracy=self.rate(),
                    mean_max_probability=self.rate(),
                    expected_calibration_error=self.rate(),
                    flagged={head: self.rate() for head in heads},
                    auroc={head: self.rate() for head in heads},
                )
                for strength in range(1, 6)
            ),
        )

    def model(
        self,
        name: str,
        heads: Sequence[str],
        sets: Mapping[str, str],
        *,
        is_labelled: bool,
        classes: Sequence[str],
    ) -> ModelResult:
        """One artefact."""
        groups = {g: [s for s, of in sets.items() if of == g] for g in ("near", "far")}
        groups["all"] = list(sets)
        return ModelResult(
            name=name,
            path=f"exported/{name}.onnx",
            sha256=self.random.bytes(32).hex(),
            n_bytes=int(self.random.integers(10**6, 10**8)),
            precision="fp32",
            heads=tuple(heads),
            primary=heads[0],
            alpha=0.9912,  # no interval is below such a promise
            objective="outlier-exposure:weight=0.5",
            id=self.known(heads, classes, is_labelled=is_labelled),
            ood={set_name: self.foreign(heads, group) for set_name, group in sets.items()},
            groups={g: self.group(heads, names) for g, names in groups.items() if names},
            corruptions=(self.corruption("blur", heads),),
        )


@pytest.fixture(scope="session")
def make_evaluation():
    """A function that makes an evaluation with a different number in every field."""

    def make(
        *,
        seed=0,
        models=("digits",),
        heads=("energy", "msp"),
        sets=FOREIGN_SETS,
        is_labelled=True,
        classes=("ant", "bee", "cow"),
    ) -> Evaluation:
        maker = EvaluationMaker(seed)
        results = [
            maker.model(name, heads, sets, is_labelled=is_labelled, classes=classes)
            for name in models
        ]
        ranked = [(name, head) for name in models for head in reversed(heads)]
        rivals = [Rival(*pair, maker.rate(), maker.interval()) for pair in ranked[1:]]
        return Evaluation(
            version="0.1.0",
            id_folder="data/test",
            models=tuple(results),
            bootstrap=Bootstrap(1000, 0.95, 0),
            recommendation=Recommendation(
                *ranked[0],
                maker.rate(),
                maker.interval(),
                tuple(rivals),
                (f"Take {ranked[0][1]}.", f"It is best by {maker.rate():.3f}."),
            )
            if sets
            else None,
            allowed_seen=False,
        )

    return make


@pytest.fixture(scope="session")
def evaluation_page(make_evaluation) -> str:
    """The page of two artefacts with hostile names."""
    from edge_ood.report.evaluation_page import evaluation_page as page_of

    sets = {" ".join(HOSTILE): "near", HOSTILE[4]: "far"}
    return page_of(make_evaluation(models=HOSTILE[:2], sets=sets, classes=HOSTILE))


def some_images(count: int, split: str, *, is_labelled: bool) -> ImageSet:
    """Images that nobody looks at, of as many classes as there are hostile names."""
    paths = tuple(Path(f"/images/{split}/<b>{i}.png") for i in range(count))
    labels = np.arange(count) % len(HOSTILE) if is_labelled else None
    hashes = tuple(f"{i:064x}" for i in range(count))
    return ImageSet(paths, labels, HOSTILE, hashes)


@pytest.fixture(scope="session")
def make_run(tmp_path_factory):
    """A function that writes the directory of a finished run that nobody trained."""

    def make(*, epochs=3, outliers=500, validation=23, measured=(), **settings) -> Path:
        path = tmp_path_factory.mktemp("runs") / "\u202e<b>"
        path.mkdir()
        random = np.random.default_rng(0)
        chosen = {
            "objective": Spec("energy-bounded", {"weight": 0.1, "m_in": -23.0, "m_out": None}),
            "recipe": "energy-tuned-cifar10",
            "heads": 2,
            "batch_size": 17,
            **settings,
        }
        config = RunConfig(
            Settings(Spec("wrn-10-1", {"dropout": 0.25}), epochs=epochs, **chosen),
            HOSTILE,
            Preprocess(16, (0.11, 0.22, 0.33)),
            {"torch": "<i>", "threads": 3},
            Start("/runs/\x1b", "ab" * 32),
            dict(measured),
        )
        sizes = dict.fromkeys(SPLITS, 0) | {"training": 40, "calibration": 30}
        sizes |= {"validation": validation, "outliers": outliers}
        unlabelled = ("outliers", "unlabelled", "pretraining")
        splits = {
            name: some_images(count, name, is_labelled=count > 0 and name not in unlabelled)
            for name, count in sizes.items()
        }
        write_run(Run(path, config, splits))
        held = 1 if validation else math.nan
        rows = random.uniform(0.01, 0.99, (epochs, 7)) * [1, 1, held, 900, 99, held, held]
        write_metrics(path, [EpochReport(i, *row) for i, row in enumerate(rows.tolist(), 1)])
        known = "validation" if validation else "training"
        moments = [
            {
                split: EnergySample.of(random.normal(mean, 2, 100 + sizes[split]))
                for split, mean in ((known, low), ("outliers", -3))
                if sizes[split]
            }
            for low in (-4, -21)
        ]
        write_energies(path, Energies(*moments))
        (path / "model.safetensors").touch()
        return path

    return make


@pytest.fixture(scope="session")
def made_run(make_run) -> Path:
    """A fine-tuned run with hostile names that departs from its recipe. Read only."""
    return make_run(measured={"m_out": -4.75})


@pytest.fixture(scope="session")
def training_page(made_run) -> str:
    """The page of a run with hostile names."""
    from edge_ood.report.training_page import training_page as page_of

    return page_of(made_run)


@pytest.fixture(scope="session")
def exported(colours, foreign_network, tmp_path_factory) -> Path:
    """An artefact of four scores, with all that is chosen, and its report. Read only."""
    folder = tmp_path_factory.mktemp("exported")
    onnx.save(foreign_network(), folder / "network.onnx")
    source = ForeignClassifier(
        folder / "network.onnx", pixels="unit", features=("pooled", "features")
    )
    options = Options(
        heads=parse_specs("odin,energy,mahalanobis:rank=2"),
        guarantee=Guarantee(alpha=0.1, combined=True),
        epsilon="fgsm",
        provider="cpu",
    )
    folders = KnownFolders(colours / "calibration", colours / "train")
    attach_foreign(source, folders, folder / "file.onnx", options)
    return folder / "file.onnx"


@pytest.fixture(scope="session")
def change_artefact(tmp_path_factory):
    """A function that copies an artefact and its report, with other metadata."""

    def change(path: Path, **changes) -> Path:
        copy = tmp_path_factory.mktemp("changed") / path.name
        model = onnx.load(path)
        properties = {item.key: item.value for item in model.metadata_props}
        store_metadata(model, replace(read_metadata(properties, source="x"), **changes))
        onnx.save(model, copy)
        if report_path(path).exists():
            report_path(copy).write_bytes(report_path(path).read_bytes())
        return copy

    return change


COMPARISON = {
    **{"images": 512, "label_flips": 3, "logits_error": 0.0123},
    **{"size_bytes": 123456, "float32_bytes": 654321, "speed": 1.375},
    "heads": [
        {"head": "<b>", "rank_correlation": 0.98765, "flips_before": 0.02, "flips_after": 0.01}
    ],
}


@pytest.fixture(scope="session")
def hostile_export(exported, change_artefact) -> Path:
    """An artefact whose classes, origin and comparison are as nobody should choose them."""
    origin = {name: {name: name} for name in HOSTILE if name.isprintable()}
    choices = {
        "<b>": {
            "epsilon": {"epsilon": 0.5, "criterion": "<i>", "curve": {"0.5": 1}, "at_end": True},
            "weights": {"source": "<i>", "by_layer": dict.fromkeys(origin, 2.5)},
            "rank": {"rank": 7, "explained": {"</title>": 0.25}},
        }
    }
    return change_artefact(
        exported,
        classes=("</script>", "<b>", "\x1b\u202e"),
        provenance={**origin, "choices": choices},
        comparison=COMPARISON,
        precision="int8",
    )


@pytest.fixture(scope="session")
def export_page(hostile_export) -> str:
    """The page of an artefact with hostile names."""
    from edge_ood.report.export_page import export_page as page_of

    return page_of(hostile_export)
