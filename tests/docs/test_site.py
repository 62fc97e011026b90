"""The documentation site: formulas without a script, and nothing loaded from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"

pytest.importorskip("sphinx")


def build(folder: Path, text: str) -> tuple[str, str]:
    """The page and the complaints of the project's own settings on a site of one page."""
    source, site = folder / "source", folder / "site"
    source.mkdir()
    (source / "index.md").write_text(f"# Title\n\n{text}\n", "utf-8")
    (source / "_static").symlink_to(DOCS / "_static")
    # Without the extensions that import torch.
    settings = ["-n", "-c", DOCS, "-D", "extensions=myst_parser,mathml,offline"]
    command = [sys.executable, "-Im", "sphinx", "-q", *settings, source, site]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return (site / "index.html").read_text("utf-8"), done.stderr


def test_formulas_are_mathml(tmp_path: Path) -> None:
    """A formula needs neither a script nor a font from elsewhere; one with a label has a number."""
    page, complaints = build(
        tmp_path, "Threshold $s_{(k)}$, with\n\n$$k = n + 1$$ (rank)\n\nby {eq}`rank`."
    )

    assert "" == complaints
    assert "<msub><mi>s</mi>" in page
    assert re.search(r'display="block".*<mi>k</mi><mo>[^<]*</mo><mi>n</mi>', page)
    assert '<span class="eqno">(1)</span>' in page


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="https://example.org/x.png">',
        '<script src="//example.org/x.js"></script>',
        '<link rel="preconnect" href="https://example.org">',
        '<img srcset="a.png 1x, https://example.org/b.png 2x">',
        "<p style=\"background: url( '//example.org/x.png' )\"></p>",
        "<style>@import 'https://example.org/x.css';</style>",
    ],
)
def test_what_loads_from_elsewhere_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, markup: str
) -> None:
    """Whatever a browser fetches without a click is found, and a link is not."""
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    from offline import loads_from_elsewhere  # type: ignore[import-not-found]

    (tmp_path / "page.html").write_text(f"<a href='https://example.org'>a link</a>{markup}")
    (tmp_path / "style.css").write_text("p { background: url(https://example.org/x.png) }")

    found = list(loads_from_elsewhere(tmp_path))

    assert ["page.html", "style.css"] == [path.name for path, _ in found]
    assert all("//example.org" in address for _, address in found)


def test_the_build_warns_of_what_loads_from_elsewhere(tmp_path: Path) -> None:
    """The built site is looked through; `make docs` takes a warning for an error."""
    _, complaints = build(tmp_path, "```{raw} html\n<img src='https://example.org/x.png'>\n```")

    assert "WARNING: index.html loads https://example.org/x.png" in complaints
