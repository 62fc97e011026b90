"""Pages of hostile names: one with every macro, and a gallery."""

from pathlib import Path

import numpy as np
from PIL import Image

from edge_ood.artifact.outputs import Row
from edge_ood.report.figure import label, new_figure, svg
from edge_ood.report.gallery import Gallery
from edge_ood.report.page import environment
from edge_ood.report.palette import ID_COLOUR, OOD_COLOUR
from edge_ood.report.thumbnails import Thumb, thumbnail_of
from edge_ood.runtime.scorer import Scorer
from report_pages.hostile import HOSTILE

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


def parts_page() -> str:
    """The page, full of hostile names."""
    figures = []
    generator = np.random.default_rng(0)
    for name in HOSTILE:
        with new_figure(3.6, 2.4) as figure:
            axes = figure.subplots()
            for mean, colour, series in ((0, ID_COLOUR, "ID"), (2, OOD_COLOUR, name)):
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


def gallery_page(artefact: Path, folder: Path) -> str:
    """A gallery of images and other files with hostile names, classes and errors."""
    names = [f"{i}{name.replace('/', '')[:80]}" for i, name in enumerate(HOSTILE)]
    names = [name.replace("\x00", "") for name in names]
    generator = np.random.default_rng(0)
    gallery = Gallery(Scorer(artefact, provider="cpu").metadata, 50)
    for index, name in enumerate(names):
        sides = (20, 400) if index % 2 else (400, 20 * index + 1)
        Image.fromarray(generator.integers(0, 256, (*sides, 3), np.uint8)).save(
            folder / name, "png"
        )
        values = {"label": HOSTILE[index], "is_ood": index < 5, "pvalue": 0.01 * index + 0.001}
        gallery.add(Row(folder / name, "ok", "", {**values, "energy": 3.0}))
        gallery.add(Row(folder / f"{name}.x", "unreadable", f"cannot read '{name}'", {}))
    return gallery.page(artifact=HOSTILE[1], guarantee="\n".join(HOSTILE))
