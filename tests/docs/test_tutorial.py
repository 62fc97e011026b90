"""The commands of the tutorial, in order, on the real images but fewer of them."""

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKS = ROOT / "../shared/data/packs.py"
PAGE = ROOT / "docs" / "tutorial.md"
SMALLER = {"--image-size 160": "--image-size 64", "-o runs": "--epochs 3 -o runs"}
"""A network that has learnt something elsewhere learns the rest within a few steps."""
FOLDERS = {
    "trashnet": ("trashnet_s128", 150),
    "imagenet": ("imagenet1k_samples_s160", 1),
    "tiny-imagenet": ("tinyimagenet_train", 1),
    "textures": ("dtd10_s160", 4),
    "scenes": ("scene15_32x32", 3),
}
"""By folder of the page: pack, and how many images of each class are kept."""


def steps(page: str) -> Iterator[tuple[str, str]]:
    """What the page has its reader do: `("split.py", text)` to write, `("", command)` to run."""
    for kind, body in re.findall(r"^```(\S+[^\n]*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        caption = re.match(r":caption: (\S+)\n\n", body)
        if caption:
            yield caption[1], body[caption.end() :]
        elif kind == "console":
            joined = re.sub(r"\s*\\\n\s*", " ", body)
            yield from (("", command) for command in re.findall(r"^\$ (.*)$", joined, re.MULTILINE))


def test_the_steps_of_a_page_are_its_files_and_its_commands() -> None:
    """Output, prose and blocks in other languages are no steps; long lines are joined."""
    page = (
        "```{code-block} python\n:caption: a.py\n\nprint(1)\n```\n"
        "$ not this\n\n```text\n$ nor this\n```\n"
        "```console\n$ one \\\n    --two\noutput\n$ three\n```\n"
    )

    assert [("a.py", "print(1)\n"), ("", "one --two"), ("", "three")] == list(steps(page))


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(not PACKS.is_file(), reason="no image packs")
def test_every_command_of_the_tutorial_runs(tmp_path: Path) -> None:
    """Written and run in order, each file and command does what the page says: none fails."""
    unpack = _load(PACKS).unpack
    for folder, (pack, count) in FOLDERS.items():
        unpack(pack, tmp_path / folder)
        for part in (tmp_path / folder).iterdir():
            for path in sorted(part.iterdir())[count:]:
                path.unlink()
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    ran = []
    for name, text in steps(PAGE.read_text("utf-8")):
        if name:
            (tmp_path / name).write_text(text, "utf-8")
            continue
        command = text
        for full, small in SMALLER.items():
            command = command.replace(full, small)
        ran.append(command.split()[:2])
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert 0 == done.returncode, f"{command}\n{done.stdout}\n{done.stderr}"

    commands = {words[1] for words in ran if words[0] == "edge-ood"}
    assert {"train", "export", "score", "evaluate", "calibrate", "attach", "check"} <= commands
    assert (tmp_path / "report.html").is_file()


def _load(script: Path) -> Any:
    spec = importlib.util.spec_from_file_location(script.stem, script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
