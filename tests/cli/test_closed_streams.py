"""Commands of a service that closed the standard streams: one line of error, or no difference."""

import subprocess
import sys
from pathlib import Path

import pytest

EDGE_OOD = "from edge_ood.cli import main; main()"
NO_OUTPUT = "error: cannot write standard output: it is closed\nhint: redirect it: > FILE\n"
NO_INPUT = "error: cannot read standard input: it is closed\nhint: give a list: < FILE\n"


def run(
    arguments: list[str], redirections: str, code: str = EDGE_OOD
) -> "subprocess.CompletedProcess[str]":
    """Run `edge-ood` as a shell does, with the redirections at the end of its line."""
    shell = f'"$@" {redirections}'
    command = [sys.executable, "-Ic", code, *arguments]
    return subprocess.run(["sh", "-c", shell, "sh", *command], capture_output=True, text=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "FILE", "images"],
        ["explain", "FILE", "images/grey.png"],
        ["inspect", "FILE"],
        ["bench", "FILE", "--json"],
        ["evaluate", "FILE", "--id", "images"],
        ["evaluate", "FILE", "--id", "images", "--csv", "t.csv", "--json", "-"],
        ["train", "--recipe", "list"],
        ["heads"],
    ],
    ids=str,
)
def test_what_goes_to_a_closed_output_is_refused_first(
    arguments: list[str], artefact: str, folder: Path
) -> None:
    """No long work for an answer that nobody gets."""
    done = run([artefact if word == "FILE" else word for word in arguments], ">&-")

    assert (1, NO_OUTPUT) == (done.returncode, done.stderr)


def test_an_output_that_is_open_for_reading_is_closed() -> None:
    """Nothing can be written there either."""
    done = run(["heads"], "1</dev/null")

    assert (1, NO_OUTPUT) == (done.returncode, done.stderr)


@pytest.mark.parametrize("closing", ["<&-", "0>/dev/null"])
def test_a_list_from_a_closed_input_is_refused(closing: str, artefact: str, folder: Path) -> None:
    """It is not an empty list."""
    done = run(["score", artefact, "-", "-o", "t.csv"], closing)

    assert (1, NO_INPUT) == (done.returncode, done.stderr)


@pytest.mark.parametrize("closing", [">&-", "<&- >&- 2>&-", "2</dev/null"])
def test_a_table_in_a_file_needs_no_stream(closing: str, artefact: str, folder: Path) -> None:
    """The same bytes as with all streams open."""
    run(["score", artefact, "images", "-o", "open.csv"], "")

    done = run(["score", artefact, "images", "-o", "closed.csv"], closing)

    assert 0 == done.returncode
    assert Path("open.csv").read_bytes() == Path("closed.csv").read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "FILE"],
        ["calibrate", "FILE", "--threshold", "energy=1", "-o", "x.onnx"],
        ["evaluate", "FILE", "--id", "colours", "--bootstrap", "0", "--json", "e.json"],
        ["--version"],
        ["score", "--help"],
    ],
    ids=str,
)
def test_talk_to_a_closed_output_is_lost(
    arguments: list[str], artefact: str, colours: Path, folder: Path
) -> None:
    """A command whose answer is a file or its exit status does its work."""
    known = {"FILE": artefact, "colours": str(colours / "test")}

    done = run([known.get(word, word) for word in arguments], ">&-")

    assert 0 == done.returncode
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("closing", ["<&-", ">&-", "2>&-"])
def test_no_file_gets_the_number_of_a_closed_stream(closing: str, tmp_path: Path) -> None:
    """Libraries write their warnings to number 2, whatever it is."""
    found = tmp_path / "number"
    code = (
        "import sys; from edge_ood.cli._streams import open_standard_streams\n"
        "open_standard_streams()\n"
        "with open(sys.argv[1], 'w') as file: file.write(str(file.fileno()))"
    )

    run([str(found)], closing, code)

    assert int(found.read_text()) > 2


def test_help_on_a_full_disk_is_one_error() -> None:
    """It is printed outside of any command."""
    done = run(["--help"], ">/dev/full")

    expected = "error: cannot write standard output: No space left on device\n"
    assert (1, f"{expected}hint: free some space or write elsewhere\n") == (
        done.returncode,
        done.stderr,
    )
