"""`edge-ood score` of tar shards, Parquet tables and object stores: the rows of local files."""

import csv
import http.server
import os
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from object_store import Store, serving_store
from tar_shards import write_tar
from typer.testing import CliRunner, Result

from edge_ood.cli.app import app
from edge_ood.files.stored import StoredImage
from edge_ood.images.folders import find_images
from edge_ood.runtime.scorer import Scorer

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

IMAGES = 23  # that decode; with the text, 24 files


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system keeps what it was given: there is no power cut here."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)))


def score(artefact: str, *arguments: object) -> Result:
    """In batches of 4, whose composition decides the last bits of a score."""
    return run("score", artefact, *arguments, "--batch-size", 4)


def rows(name: str) -> list[dict[str, str]]:
    with Path(name).open(newline="") as file:
        return list(csv.DictReader(file))


def numbers(name: str) -> list[dict[str, str]]:
    """What rows say, apart from where the image lies."""
    return [{k: v for k, v in row.items() if k not in ("path", "error")} for row in rows(name)]


def images_of(folder: Path) -> dict[str, bytes]:
    """Images by a plain name, in the order of the folder."""
    paths = sorted(folder.glob("*.png"))
    return {f"{number:03}.png": path.read_bytes() for number, path in enumerate(paths)}


@pytest.fixture
def shards(folder: Path) -> list[str]:
    """Five tar shards of 5 images or 3, as WebDataset has them: a label beside each image."""
    members = list(images_of(folder).items())
    names = []
    for number in range(5):
        held = dict(members[5 * number : 5 * number + 5])
        labels = {f"{Path(name).stem}.cls": b"0" for name in held}
        names.append(f"train-{number:03}.tar")
        write_tar(names[-1], dict(sorted({**held, **labels, "folder/x.txt": b"no"}.items())))
    return names


def test_members_have_the_rows_of_the_files_they_were(
    artefact: str, folder: Path, shards: list[str]
) -> None:
    """The same labels, scores and p-values, under the shard's name and the member's."""
    (folder / "notes.txt").unlink()
    assert 0 == run("score", artefact, "images", "-o", "files.csv", "--batch-size", 1).exit_code

    result = run("score", artefact, "train-{000..004}.tar", "-o", "tar.csv", "--batch-size", 1)

    assert 0 == result.exit_code, result.output
    assert numbers("files.csv") == numbers("tar.csv")
    assert "./train-000.tar!000.png" == rows("tar.csv")[0]["path"]
    assert f"./train-004.tar!{IMAGES - 1:03}.png" == rows("tar.csv")[-1]["path"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_shards_of_archives_make_the_single_runs_table(
    artefact: str, shards: list[str], ending: str, count: int
) -> None:
    """Byte for byte; each archive is opened by one share, and there may be more of these."""
    assert 0 == score(artefact, *shards, "-o", f"whole.{ending}").exit_code
    parts = [f"s{index}.{ending}" for index in range(1, count + 1)]
    for index, part in enumerate(parts, start=1):
        result = score(artefact, *shards, "-o", part, "--shard", f"{index}/{count}")
        assert 0 == result.exit_code, result.output

    result = run("merge", *reversed(parts), "-o", f"out.{ending}")

    assert 0 == result.exit_code, result.output
    for name in (f"whole.{ending}", f"whole.{ending}.run.json"):
        assert content(name) == content(name.replace("whole", "out"))


def content(name: str) -> dict[str, bytes]:
    path = Path(name)
    if path.is_file():
        return {"": path.read_bytes()}
    return {part.name: part.read_bytes() for part in path.iterdir()}


def test_a_run_goes_on_within_an_archive(
    artefact: str, shards: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut amid an archive, whose last batch is short, the table ends with the same bytes."""
    from edge_ood.tables.writer import TableWriter

    score(artefact, *shards, "-o", "whole.csv")
    written, write = [], TableWriter.write

    def interrupted(self: TableWriter, row: object) -> None:
        if len(written) == 12:
            raise KeyboardInterrupt
        written.append(row)
        write(self, row)  # type: ignore[arg-type]

    monkeypatch.setattr(TableWriter, "write", interrupted)
    assert 130 == score(artefact, *shards, "-o", "cut.csv").exit_code
    monkeypatch.setattr(TableWriter, "write", write)

    result = score(artefact, *shards, "-o", "cut.csv", "--resume")

    assert 0 == result.exit_code, result.output
    assert ", 10 of them earlier," in result.stderr
    assert Path("whole.csv").read_bytes() == Path("cut.csv").read_bytes()


def test_what_is_no_whole_archive_is_a_row(artefact: str, folder: Path) -> None:
    """Images before the damage stand; an archive without one is named, and so is a missing one."""
    members = images_of(folder)
    write_tar("cut.tar", members)
    whole = Path("cut.tar").read_bytes()
    Path("cut.tar").write_bytes(whole[: len(whole) // 2])
    write_tar("none.tar", {"a.txt": b"no image"})
    Path("noise.tar").write_bytes(b"no archive" * 100)

    result = score(artefact, "cut.tar", "none.tar", "noise.tar", "gone.tar", "-o", "out.csv")

    assert 0 == result.exit_code, result.output
    *read, cut, none, noise, gone = rows("out.csv")
    assert 5 < len(read) < IMAGES
    assert {"ok"} == {row["status"] for row in read}
    assert {"unreadable"} == {row["status"] for row in (cut, none, noise, gone)}
    assert "./cut.tar" == cut["path"]
    assert f"to its end, after {len(read)} images" in cut["error"]
    assert "holds no image" in none["error"]
    assert "'noise.tar'" in noise["error"]
    assert "No such file" in gone["error"]


def test_rows_of_tables_are_images(artefact: str, folder: Path) -> None:
    """Bytes, or the struct of Hugging Face datasets; a null and a table without images are rows."""
    payloads = list(images_of(folder).values())[:6]
    binary = pyarrow.table({"label": [0] * 6, "image": payloads})
    struct = [{"bytes": payload, "path": "x.png"} for payload in payloads[:5]]
    parquet.write_table(binary, "bytes.parquet")
    parquet.write_table(
        pyarrow.table({"image": [*struct, {"bytes": None, "path": "y"}]}), "struct.parquet"
    )
    parquet.write_table(pyarrow.table({"label": [1]}), "none.parquet")

    result = score(artefact, "*s.parquet", "struct.parquet", "none.parquet", "-o", "out.csv")

    assert 0 == result.exit_code, result.output
    found = rows("out.csv")
    assert [f"./bytes.parquet#{n}" for n in range(6)] == [row["path"] for row in found[:6]]
    assert numbers("out.csv")[:4] == numbers("out.csv")[6:10]
    assert ["ok"] * 11 + ["unreadable"] * 2 == [row["status"] for row in found]
    assert "holds no bytes" in found[11]["error"]
    assert "no column of bytes" in found[12]["error"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["images", "train-000.tar"], "'images' is a file or folder, and 'train-000.tar' is not"),
        (["train-000.tar", "train-{000..001}.tar"], "'train-000.tar' is there twice"),
        (["nothing-*.tar"], "nothing matches 'nothing-*.tar'"),
        (["ftp://host/x.tar"], "cannot read 'ftp://host/x.tar'"),
        (["x-{0..99999999}.tar"], "is more than 1000000 names"),
        (["train-000.tar", "file:///images"], "archives and single objects at once"),
    ],
)
def test_slips_are_named(artefact: str, shards: list[str], names: list[str], message: str) -> None:
    """One line with a hint, and nothing written."""
    result = score(artefact, *names, "-o", "out.csv")

    assert 1 == result.exit_code
    assert message in result.stderr
    assert ["error", "hint"] == [line.split(":")[0] for line in result.stderr.splitlines()]
    assert not Path("out.csv").exists()


def test_archives_calibrate(
    artefact: str, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the thresholds of the files that they hold."""
    monkeypatch.chdir(tmp_path)
    paths = find_images(colours / "calibration")
    write_tar("held.tar", {f"{n:03}.png": path.read_bytes() for n, path in enumerate(paths)})

    of_files = run("calibrate", artefact, colours / "calibration", "-o", "files.onnx")
    of_tar = run("calibrate", artefact, "held.tar", "-o", "tar.onnx")

    assert 0 == of_files.exit_code == of_tar.exit_code, of_files.output + of_tar.output
    thresholds = [Scorer(f).metadata.calibration.thresholds for f in ("files.onnx", "tar.onnx")]
    assert thresholds[0] == pytest.approx(
        thresholds[1], rel=1e-6
    )  # batches differ in the last bits


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Images lie in it."""
    with serving_store(monkeypatch.setenv) as found:
        yield found


def test_objects_have_the_rows_of_files(artefact: str, folder: Path, store: Store) -> None:
    """A prefix stands for all objects below it, own ones first, by name; archives are streamed."""
    (folder / "notes.txt").unlink()
    score(artefact, "images", "-o", "files.csv")
    members = images_of(folder)
    for number, (name, payload) in enumerate(members.items()):
        store.put(name if number < 9 else f"later/{name}", payload)
    write_tar("x.tar", members)
    store.put("shards/x-0.tar", Path("x.tar").read_bytes())

    objects = score(artefact, "s3://photos", "-o", "objects.csv")
    archive = score(artefact, "s3://photos/shards/*.tar", "-o", "archive.csv")

    assert 0 == objects.exit_code == archive.exit_code, objects.output + archive.output
    assert numbers("files.csv") == numbers("objects.csv")[:IMAGES] == numbers("archive.csv")
    assert "s3://photos/later/022.png" == rows("objects.csv")[IMAGES - 1]["path"]
    assert "not-an-image" == rows("objects.csv")[IMAGES]["status"]  # the archive is one file more
    assert "s3://photos/shards/x-0.tar!000.png" == rows("archive.csv")[0]["path"]


def test_an_object_that_vanished_is_a_row(
    artefact: str, folder: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Listed, and gone when it is read: the others are scored."""
    for name, payload in list(images_of(folder).items())[:6]:
        store.put(name, payload)
    stream = Scorer.stream

    def after_a_loss(self: Scorer, paths: Iterable[StoredImage], **options: object) -> object:
        listed = list(paths)
        store.client.delete_object(Bucket="photos", Key="003.png")
        return stream(self, listed, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Scorer, "stream", after_a_loss)

    result = score(artefact, "s3://photos", "-o", "out.csv")

    assert 0 == result.exit_code, result.output
    assert [*["ok"] * 3, "unreadable", *["ok"] * 2] == [row["status"] for row in rows("out.csv")]
    assert "s3://photos/003.png" in rows("out.csv")[3]["error"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://photos/none", "there is nothing at 's3://photos/none'"),
        ("s3://elsewhere/x.png", "'s3://elsewhere/x.png'"),
    ],
)
def test_what_a_store_refuses_is_one_error(
    artefact: str, folder: Path, store: Store, url: str, message: str
) -> None:
    """Before anything is written."""
    result = score(artefact, url, "-o", "out.csv")

    assert 1 == result.exit_code
    assert message in result.stderr
    assert ["error", "hint"] == [line.split(":")[0] for line in result.stderr.splitlines()]
    assert not Path("out.csv").exists()


class Gate(http.server.BaseHTTPRequestHandler):
    """Before a store: answers some requests itself, with `answer(path)`, and passes others on."""

    behind: ClassVar[str]
    answer: ClassVar[Callable[[str], int]]

    def do_GET(self) -> None:
        """Pass on, or refuse."""
        status = type(self).answer(self.path)
        if status != 200:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        asked = {k: v for k, v in self.headers.items() if k.lower() in ("range", "authorization")}
        request = urllib.request.Request(
            self.behind + self.path, headers=asked, method=self.command
        )
        with urllib.request.urlopen(request) as reply:
            body = reply.read()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "server", "date"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  # as the library calls it

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def gate(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Gate]]:
    """The store's endpoint is a gate before it."""
    Gate.behind = os.environ["AWS_ENDPOINT_URL"]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gate)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    yield Gate
    server.shutdown()
    server.server_close()


def test_a_store_that_asks_to_wait_is_asked_again(
    artefact: str, folder: Path, store: Store, gate: type[Gate]
) -> None:
    """503 SlowDown, once for every object: no row is lost."""
    for name, payload in list(images_of(folder).items())[:5]:
        store.put(name, payload)
    refused: set[str] = set()

    def once(path: str) -> int:
        if path.endswith(".png") and path not in refused:
            refused.add(path)
            return 503
        return 200

    gate.answer = staticmethod(once)

    result = score(artefact, "s3://photos", "-o", "out.csv")

    assert 0 == result.exit_code, result.output
    assert 5 == len(refused)
    assert ["ok"] * 5 == [row["status"] for row in rows("out.csv")]


def test_a_store_that_says_no_is_one_error(
    artefact: str, store: Store, folder: Path, gate: type[Gate]
) -> None:
    """With a hint to where credentials come from."""
    store.put("a.png", b"")
    gate.answer = staticmethod(lambda path: 403)

    result = score(artefact, "s3://photos", "-o", "out.csv")

    assert 1 == result.exit_code
    error, hint = result.stderr.splitlines()
    assert error.startswith("error: cannot read 's3://photos': ")
    assert "credentials" in hint
