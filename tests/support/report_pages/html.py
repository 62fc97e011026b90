"""What every page must be: sound HTML that stands alone and that everyone can read."""

import re
from collections import Counter
from html.parser import HTMLParser

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
IMPLIED_END = {"p": {"div", "dl", "ul", "ol", "table", "figure", "section", "p", "h2", "details"}}
FORBIDDEN = {"script", "iframe", "object", "embed", "form", "link", "base", "foreignObject"}
ADDRESSES = {"src", "href", "srcset", "action", "data", "poster", "xlink:href"}


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

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element, unless it has no end."""
        self.handle_startendtag(tag, attrs)
        if self._open and tag in IMPLIED_END.get(self._open[-1], ()):
            self.faults.append(f"<{tag}> in <{self._open[-1]}>")
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at an element and its attributes."""
        values = dict(attrs)
        self.tags[tag] += 1
        if len(values) < len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        for name, value in values.items():
            self._look_at(tag, name, value or "")
        if tag == "html":
            self.language = values.get("lang") or ""
        if tag == "meta":
            self.meta[values.get("name") or values.get("http-equiv", "charset")] = values.get(
                "content", ""
            )
        if tag == "img" and not values.get("alt"):
            self.faults.append("an image without alternative text")
        if tag == "svg" and not (values.get("role") == "img" and "aria-labelledby" in values):
            self.faults.append("a figure without a title")

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        if not self._open or self._open[-1] != tag:
            self.faults.append(f"</{tag}> where {self._open[-1:]} is open")
        if tag in self._open:
            while self._open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        """Look at text where it matters."""
        if self._open[-1:] == ["title"] and "svg" not in self._open:
            self.title += data
        if self._open[-1:] == ["style"] and re.search(r"url\(|@import|</", data):
            self.faults.append("a style sheet that loads something")

    def _look_at(self, tag: str, name: str, value: str) -> None:
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


def check_page(html: str) -> None:
    """Assert that a page is sound HTML, stands alone, and can be read by everyone."""
    page = _Page(html)
    jumps = [b for a, b in zip([0, *page.headings], page.headings, strict=False) if b > a + 1]
    odd = {mark for mark in html if not (mark.isprintable() or mark == "\n")}

    assert html.startswith("<!DOCTYPE html>\n")
    assert [] == page.faults
    assert set() == FORBIDDEN & set(page.tags)
    assert set() == {name for name, count in page.ids.items() if count > 1 or not name}
    assert set() == page.references - set(page.ids)
    assert page.meta["Content-Security-Policy"] == POLICY
    assert "width=device-width" in page.meta["viewport"]
    assert "en" == page.language
    assert page.title.strip()
    assert 1 == page.headings.count(1)
    assert [] == jumps
    assert [1, 1, 1] == [page.tags[name] for name in ("header", "main", "footer")]
    assert set() == odd
