"""One sample of each page, named after its template, and what every page must be.

What makes and checks them is in `tests/support/report_pages`, which pytest puts on the import path.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import pytest

from edge_ood.evaluation.evaluation import Evaluation

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")
# Assertions of a module that is not a test say what they compared only after this.
pytest.register_assert_rewrite("report_pages")


@pytest.fixture(scope="session")
def check_page() -> Callable[[str], None]:
    """Asserts that a page is sound HTML, stands alone, and can be read by everyone."""
    from report_pages.html import check_page as check

    return check


@pytest.fixture
def check_in_browser(tmp_path: Path) -> Callable[[str], None]:
    """Asserts that a page fits a phone and a desktop, asks for nothing and breaks no rule."""
    from report_pages.browser import check_in_browser as check
    from report_pages.browser import find_browser

    browser = find_browser()
    if browser is None:
        pytest.skip("there is no Chromium")
    return partial(check, browser, tmp_path / "browser")


@pytest.fixture(scope="session")
def contents() -> Callable[[str], Any]:
    """Takes a page apart into the fields that it shows and all other text."""
    from report_pages.contents import Contents

    return Contents


@pytest.fixture(scope="session")
def wrong_fields() -> Callable[[str, Any], list[tuple[str, str]]]:
    """The fields of a page, with pointers, that are not what the document says there."""
    from report_pages.contents import wrong_fields as check

    return check


@pytest.fixture(scope="session")
def parts_page() -> str:
    """A page with every macro, full of hostile names."""
    from report_pages.parts import parts_page as page_of

    return page_of()


@pytest.fixture(scope="session")
def gallery_page(colour_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A gallery of images and other files with hostile names, classes and errors."""
    from report_pages.parts import gallery_page as page_of

    return page_of(colour_artifact, tmp_path_factory.mktemp("gallery"))


@pytest.fixture(scope="session")
def make_evaluation() -> Callable[..., Evaluation]:
    """A function that makes an evaluation with a different number in every field."""
    from report_pages.evaluations import make_evaluation as make

    return make


@pytest.fixture(scope="session")
def evaluation_page(make_evaluation: Callable[..., Evaluation]) -> str:
    """The page of two artefacts with hostile names."""
    from edge_ood.report.evaluation_page import evaluation_page as page_of
    from report_pages.hostile import HOSTILE

    sets = {" ".join(HOSTILE): "near", HOSTILE[4]: "far"}
    shifted = (HOSTILE[3], HOSTILE[6])
    return page_of(make_evaluation(models=HOSTILE[:2], sets=sets, shifted=shifted, classes=HOSTILE))


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that writes the directory of a finished run that nobody trained."""
    from report_pages.runs import make_run as make

    return lambda **options: make(tmp_path_factory.mktemp("runs") / "\u202e<b>", **options)


@pytest.fixture(scope="session")
def made_run(make_run: Callable[..., Path]) -> Path:
    """A fine-tuned run with hostile names that departs from its recipe. Read only."""
    return make_run(measured={"m_out": -4.75})


@pytest.fixture(scope="session")
def training_page(made_run: Path) -> str:
    """The page of a run with hostile names."""
    from edge_ood.report.training_page import training_page as page_of

    return page_of(made_run)


@pytest.fixture(scope="session")
def exported(
    colours: Path,
    foreign_network: Callable[..., onnx.ModelProto],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """An artefact of four scores, with all that is chosen, and its report. Read only."""
    from report_pages.artefacts import export

    return export(foreign_network(), colours, tmp_path_factory.mktemp("exported"))


@pytest.fixture(scope="session")
def change_artefact(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A function that copies an artefact and its report, with other metadata."""
    from report_pages.artefacts import change

    return lambda path, **changes: change(path, tmp_path_factory.mktemp("changed"), **changes)


@pytest.fixture(scope="session")
def hostile_export(exported: Path, change_artefact: Callable[..., Path]) -> Path:
    """An artefact whose classes, origin and comparison are as nobody should choose them."""
    from report_pages.artefacts import make_hostile

    return make_hostile(exported, change_artefact)


@pytest.fixture(scope="session")
def export_page(hostile_export: Path) -> str:
    """The page of an artefact with hostile names."""
    from edge_ood.report.export_page import export_page as page_of

    return page_of(hostile_export)


@pytest.fixture(scope="session")
def explanation_page() -> str:
    """The page about an image with hostile names."""
    from edge_ood.report.explanation_page import explanation_page as page_of
    from report_pages.explanations import hostile_explanation

    return page_of(hostile_explanation())
