"""A page in a browser: whether it fits, asks for nothing and breaks no rule."""

import json
import re
import shutil
import subprocess
from pathlib import Path

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


def find_browser() -> str | None:
    """The browser of this machine; None if there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def check_in_browser(browser: str, folder: Path, html: str) -> None:
    """Assert that a page fits a phone and a desktop, asks for nothing and breaks no rule.

    Args:
        browser: As found by `find_browser`.
        folder: For its files, and the browser's profile.
        html: The page.
    """
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
    assert [] == [line for line in done.stderr.splitlines() if ":CONSOLE:" in line]
