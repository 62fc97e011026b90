"""`edge-ood serve`: rows over HTTP, refusals, and a graceful end; against real processes."""

import concurrent.futures
import http.client
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from edge_ood.cli.app import app
from edge_ood.images.folders import find_images

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

EDGE_OOD = "from edge_ood.cli import main; main()"
TOKEN = "a" * 32
LONGEST_S = 30


class Service:
    """`edge-ood serve` in a process of its own, at a free port."""

    def __init__(self, artefact: str, *arguments: object) -> None:
        command = [sys.executable, "-c", EDGE_OOD, "serve", artefact, "--port", "0"]
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)], stderr=subprocess.PIPE, text=True
        )
        assert self.process.stderr is not None
        said = self.process.stderr.readline()
        match = re.search(r"http://([\d.]+):(\d+)", said)
        assert match is not None, said
        self.host, self.port = match[1], int(match[2])
        self.client = httpx.Client(base_url=f"http://{self.host}:{self.port}", timeout=LONGEST_S)

    def end(self, sent: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        self.client.close()
        self.process.send_signal(sent)
        self.process.communicate(timeout=LONGEST_S)
        return self.process.returncode


@pytest.fixture(scope="module")
def service(colour_artifact: Path) -> Iterator[Service]:
    """One for all tests that do not end it."""
    found = Service(str(colour_artifact), "--max-body-mb", 0.5, "--timeout", 2)
    yield found
    found.end()


@pytest.fixture(scope="module")
def image(colours: Path) -> Path:
    return find_images(colours / "test")[0]


def test_an_image_has_the_row_of_score(
    service: Service, colour_artifact: Path, image: Path
) -> None:
    """The line of `score --format jsonl`, but for the name."""
    answer = service.client.post("/score", content=image.read_bytes())

    line = CliRunner().invoke(app, ["score", str(colour_artifact), str(image)]).stdout
    assert 200 == answer.status_code
    assert json.loads(line) | {"path": "./image"} == answer.json()


def test_a_form_has_a_row_for_each_file(service: Service, image: Path) -> None:
    """In order, by name; what is no image has its status."""
    files = [("a", ("one.png", image.read_bytes())), ("b", ("two.txt", b"no image"))]

    answer = service.client.post("/score", files=files)

    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert 200 == answer.status_code
    assert ["./one.png", "./two.txt"] == [row["path"] for row in rows]
    assert ["ok", "not-an-image"] == [row["status"] for row in rows]


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"no image", 422, "not-an-image"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 40, 422, "unreadable"),
        (b"", 400, "an empty body"),
        (b"\0" * (600 << 10), 413, "at most 524288 are read"),
    ],
)
def test_bad_images_are_the_senders_fault(
    service: Service, content: bytes, status: int, said: str
) -> None:
    """Never a 500: a row with its status, or one sentence."""
    answer = service.client.post("/score", content=content)

    assert status == answer.status_code
    assert said in answer.text


def test_a_body_without_length_is_limited(service: Service) -> None:
    """Chunks are counted as they come."""
    answer = service.client.post("/score", content=(b"\0" * 4096 for _ in range(400)))

    assert 413 == answer.status_code


def test_malformed_requests_are_answered(service: Service, image: Path) -> None:
    """A form that is none, no boundary, a wrong method, another path; it goes on answering."""
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answers = [
        service.client.post("/score", content=b"no form", headers=headers).status_code,
        service.client.post(
            "/score", content=b"--x", headers={"content-type": "multipart/form-data"}
        ).status_code,
        service.client.get("/score").status_code,
        service.client.post("/elsewhere").status_code,
    ]

    assert [400, 400, 405, 404] == answers
    assert 200 == service.client.post("/score", content=image.read_bytes()).status_code


def test_a_sender_that_stops_is_not_waited_for(service: Service) -> None:
    """After the time for one request."""
    connection = http.client.HTTPConnection(service.host, service.port, timeout=LONGEST_S)
    connection.putrequest("POST", "/score")
    connection.putheader("Content-Length", "1000")
    connection.endheaders()
    connection.send(b"few")

    answer = connection.getresponse()

    assert 408 == answer.status
    connection.close()


def test_health_and_metrics(service: Service, image: Path) -> None:
    """Which file answers, and what it was asked."""
    service.client.post("/score", content=image.read_bytes())

    health, metrics = service.client.get("/health").json(), service.client.get("/metrics").text

    assert "ok" == health["status"]
    assert f'sha256="{health["artifact"]}"' in metrics
    assert re.search(r'edge_ood_images_total\{status="ok"\} [1-9]', metrics)
    assert "edge_ood_pvalue_bucket" in metrics
    assert "edge_ood_seconds_bucket" in metrics


def test_a_full_queue_says_so_at_once(artefact: str, image: Path) -> None:
    """Two cores and no waiting: of many requests some are told to come again, none waits long."""
    service = Service(artefact, "--queue", 0, "--timeout", 5)
    stuck = []
    for _ in range(32):  # senders that take their time hold every seat
        connection = http.client.HTTPConnection(service.host, service.port, timeout=LONGEST_S)
        connection.putrequest("POST", "/score")
        connection.putheader("Content-Length", "1000")
        connection.endheaders()
        stuck.append(connection)
    time.sleep(0.3)

    started = time.monotonic()
    answer = service.client.post("/score", content=image.read_bytes())
    seconds = time.monotonic() - started
    for connection in stuck:
        connection.close()

    assert 503 == answer.status_code
    assert "1" == answer.headers["retry-after"]
    assert seconds < 4
    assert 0 == service.end()


def test_a_token_keeps_others_out(artefact: str, image: Path, tmp_path: Path) -> None:
    """All but the question whether it lives."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    service = Service(artefact, "--token-file", tmp_path / "token")
    content = image.read_bytes()

    answers = [
        service.client.post("/score", content=content, headers=headers).status_code
        for headers in ({}, {"Authorization": f"Bearer {TOKEN}"}, {"Authorization": "Bearer b"})
    ]

    assert [401, 200, 401] == answers
    assert 401 == service.client.get("/metrics").status_code
    assert 200 == service.client.get("/health").status_code
    assert 0 == service.end()


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_what_was_begun_is_answered(artefact: str, image: Path, sent: signal.Signals) -> None:
    """A signal amid forty requests: each has a whole answer, or none was begun."""
    service = Service(artefact)
    content = image.read_bytes()

    def ask(_: int) -> int:
        try:
            answer = httpx.post(
                f"http://{service.host}:{service.port}/score", content=content, timeout=LONGEST_S
            )
        except (
            httpx.ConnectError,
            httpx.ReadError,
            httpx.RemoteProtocolError,
        ):  # refused, or never taken from the queue
            return 0
        json.loads(answer.text)
        return answer.status_code

    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        asked = [clients.submit(ask, number) for number in range(40)]
        while sum(each.done() for each in asked) < 5:
            time.sleep(0.01)
        service.process.send_signal(sent)
        codes = [each.result() for each in asked]
    service.client.close()
    service.process.communicate(timeout=LONGEST_S)

    assert {200} <= set(codes) <= {0, 200}
    assert 0 == service.process.returncode


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--token-file", "none"], "cannot read 'none'"),
        (["--token-file", "short"], "has 5 letters, expected 16 or more"),
        (["--host", "192.0.2.77"], "cannot listen at 192.0.2.77:8000"),
    ],
)
def test_slips_are_named(
    artefact: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: Any, message: str
) -> None:
    """One line with a hint."""
    monkeypatch.chdir(tmp_path)
    Path("short").write_text("short")

    result = CliRunner().invoke(app, ["serve", artefact, *arguments])

    assert 1 == result.exit_code
    assert message in result.stderr
    assert "hint: " in result.stderr
