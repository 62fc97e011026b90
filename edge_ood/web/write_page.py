"""Writing the page: its own files, the artefact and onnxruntime-web, so that nothing is fetched.

Scripts of a page that is opened as a file may not read other files. So what is binary lies in
`assets/` as scripts, gzip in base64, and the page works from a disk as from any server.
"""

import base64
import gzip
import html
import json
from collections.abc import Iterator
from importlib import metadata, resources
from pathlib import Path
from string import Template
from typing import Any

from edge_ood.artifact.guarantee_text import guarantee_text
from edge_ood.errors import InputError
from edge_ood.files.output import publish
from edge_ood.files.regular import read_regular
from edge_ood.files.temporary import temporary_folder
from edge_ood.runtime.probe import probe_images
from edge_ood.runtime.scorer import Scorer
from edge_ood.web.browser_runtime import BUILDS, browser_runtime, pinned_version

__all__ = ["write_page"]

_FILES = (
    "style.css",
    "preprocess.js",
    "classifier.js",
    "page.js",
    "LICENSE-onnxruntime-web.txt",
)
_PROBED = 2
_SHOWN_HASH = 12


def write_page(
    artifact: Path, folder: Path, *, runtime: Path | None = None, force: bool = False
) -> int:
    """Write a page that scores pictures in a browser.

    Args:
        artifact: A calibrated artefact.
        folder: For the page; it appears as a whole.
        runtime: The package onnxruntime-web; fetched by npm if None.
        force: Replace a page that is there.

    Returns:
        Bytes written.

    Raises:
        ArtifactError: If the file is no artefact, damaged or was never calibrated.
        DataError: If onnxruntime-web cannot be fetched.
        InputError: If there is something else in the folder, or no onnxruntime-web.
    """
    scorer = Scorer(artifact, provider="cpu")
    _check_folder(folder, force=force)
    package = browser_runtime(runtime)
    with temporary_folder(folder.absolute(), private=False) as made:
        for name, content in _files(scorer, package):
            (made / name).parent.mkdir(exist_ok=True)
            (made / name).write_bytes(content)
        written = sum(path.stat().st_size for path in made.rglob("*") if path.is_file())
        publish(made, folder.absolute())
    return written


def _files(scorer: Scorer, package: Path) -> Iterator[tuple[str, bytes]]:
    """Everything that lies in the folder."""
    page = resources.files("edge_ood.web").joinpath("page")
    for name in _FILES:
        yield name, page.joinpath(name).read_bytes()
    template = Template(page.joinpath("index.html").read_text("utf-8"))
    yield "index.html", template.substitute(_texts(scorer)).encode()
    yield "assets/classifier.js", _asset("classifier", read_regular(scorer.path))
    for build, (script, stem) in BUILDS.items():
        yield f"assets/ort-{build}.js", read_regular(package / "dist" / script)
        for role, ending in (("loader", "mjs"), ("binary", "wasm")):
            content = read_regular(package / "dist" / f"{stem}.{ending}")
            yield f"assets/{role}-{build}.js", _asset(f"{role}-{build}", content)


def _asset(name: str, content: bytes) -> bytes:
    packed = base64.b64encode(gzip.compress(content, mtime=0)).decode()
    return f'Classifier.take("{name}", "{packed}");\n'.encode()


def _texts(scorer: Scorer) -> dict[str, str]:
    """What stands in the page, escaped."""
    described = scorer.metadata
    about = json.dumps(_about(scorer)).replace("<", "\\u003c")
    texts = {
        "name": scorer.path.stem,
        "class_count": str(len(described.classes)),
        "guarantee": ". ".join(guarantee_text(described).splitlines()),
        "primary": described.primary,
        "digest": scorer.file.sha256[:_SHOWN_HASH],
        "version": metadata.version("edge-ood"),
        "runtime": pinned_version(),
    }
    return {**{name: html.escape(text) for name, text in texts.items()}, "about": about}


def _about(scorer: Scorer) -> dict[str, Any]:
    """What the scripts need to know; JSON."""
    described = scorer.metadata
    images = probe_images(described.probe.seed, described.preprocess.resized_px)[:_PROBED]
    scores = scorer.score_arrays(images)
    return {
        "classes": list(described.classes),
        "heads": list(scorer.heads),
        "primary": described.primary,
        "alpha": described.calibration.alpha,
        "preprocess": described.preprocess.to_json(),
        "probe": {
            "pixels": base64.b64encode(images.tobytes()).decode(),
            "expected": [
                {head: float(scores.scores[head][row]) for head in scorer.heads}
                for row in range(len(images))
            ],
        },
    }


def _check_folder(folder: Path, *, force: bool) -> None:
    """Refuse a folder that is there, unless it holds a page and may be replaced."""
    if not folder.exists():
        return
    is_page = (folder / "index.html").is_file() and (folder / "assets").is_dir()
    if not is_page and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"'{folder}' is there and no such page", hint="choose another folder")
    if is_page and not force:
        raise InputError(f"'{folder}' exists", hint="choose another folder, or pass --force")
