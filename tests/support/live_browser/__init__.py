"""A headless Chromium that is told what to do, by the protocol of its developer tools on a pipe."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["Page", "opened_page"]

_ANSWER_S = 60.0
_ITS_ENDS, _BEYOND = (3, 4), 10


class Page:
    """One page of a browser.

    Args:
        write: Descriptor of the pipe to the browser.
        read: Of the pipe from it.
    """

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, read
        self._number, self._buffer, self._session = 0, b"", ""
        self.said: list[str] = []
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "DOM", "Log"):
            self._send(f"{domain}.enable")

    def open(self, url: str, width: int = 1000, *, dark: bool = False) -> None:
        """Go to an address, in a window of a width in pixels."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self._send("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._send("Emulation.setEmulatedMedia", features=[scheme])
        self._send("Page.navigate", url=url)
        self._until("Page.loadEventFired")

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited."""
        found = self._send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise AssertionError(json.dumps(found["exceptionDetails"])[:2000])
        return found["result"].get("value")

    def choose(self, selector: str, files: Sequence[Path]) -> None:
        """Put files into a file input, as its dialog would."""
        root = self._send("DOM.getDocument")["root"]["nodeId"]
        node = self._send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self._send("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def picture(self, path: Path) -> None:
        """Save what the whole page looks like."""
        shot = self._send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _send(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]

    def _until(self, event: str) -> None:
        while self._next().get("method") != event:
            pass

    def _next(self) -> Any:
        end = time.monotonic() + _ANSWER_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no answer in {_ANSWER_S} s; it said {self.said}"
            read = os.read(self._read, 1 << 20)
            assert read, "the browser is gone"
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        answer = json.loads(message)
        if answer.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
            self.said.append(json.dumps(answer["params"])[:500])
        return answer


@contextmanager
def opened_page(*options: str) -> Iterator[Page]:
    """A page of a new browser, which is gone after the block."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium here")
    to_browser, from_page = os.pipe()
    to_page, from_browser = os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, _BEYOND) for end in (to_browser, from_browser)]
    command = [
        *(chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio"),
        *("--remote-debugging-pipe", "--no-first-run", "--disable-extensions", *options),
    ]

    def put_in_place() -> None:
        for end, number in zip(ends, _ITS_ENDS, strict=True):
            os.dup2(end, number)

    with subprocess.Popen(
        command,
        pass_fds=_ITS_ENDS,
        preexec_fn=put_in_place,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        for end in (to_browser, from_browser, *ends):
            os.close(end)
        try:
            yield Page(from_page, to_page)
        finally:
            process.kill()
            os.close(from_page)
            os.close(to_page)
