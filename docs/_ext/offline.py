"""The built site works from a disk: a page or style that would load from elsewhere is a warning."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from sphinx.util import logging

_LOADING = {"action", "data", "poster", "src", "srcset", "style", "xlink:href"}
_ELSEWHERE = re.compile(r"(?:https?:)?//")
_IN_STYLE = re.compile(r"""(?:url\(|@import)\s*["']?\s*((?:https?:)?//[^"')\s]*)""")


class _Loads(HTMLParser):
    """Collects the addresses that a browser fetches by itself; links wait for a click."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        loading = _LOADING | {"href"} if tag in {"link", "image", "use"} else _LOADING
        for name, value in attrs:
            if name not in loading or not value:
                continue
            if name == "style":
                self.addresses += _IN_STYLE.findall(value)
            elif any(map(_ELSEWHERE.match, re.split(r",?\s+", value.strip()))):
                self.addresses.append(value)

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.addresses += _IN_STYLE.findall(data)


def loads_from_elsewhere(folder: Path) -> Iterator[tuple[Path, str]]:
    """Files of a built site with the addresses on other hosts that they load.

    Args:
        folder: Searched for `.html` and `.css`, sub-folders included.
    """
    for path in sorted(folder.rglob("*.html")):
        page = _Loads()
        page.feed(path.read_text("utf-8"))
        yield from ((path, address) for address in page.addresses)
    for path in sorted(folder.rglob("*.css")):
        yield from ((path, address) for address in _IN_STYLE.findall(path.read_text("utf-8")))


def setup(app: Any) -> dict[str, bool]:
    """Check the site when it has been written."""
    app.connect("build-finished", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _check(app: Any, error: Exception | None) -> None:
    if error is None:
        for path, address in loads_from_elsewhere(Path(app.outdir)):
            logging.getLogger(__name__).warning("%s loads %s", path.name, address)
