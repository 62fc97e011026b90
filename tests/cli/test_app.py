"""The command line as a whole: exit codes, and errors in one line."""

import errno
import os
import pty
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from edge_ood.cli._errors import OneLineErrors
from edge_ood.cli.app import app, main
from edge_ood.errors import DataError, EdgeOodError

COMMANDS = [
    *("train", "export", "score", "explain", "merge", "evaluate", "calibrate"),
    *("attach", "check", "bench", "inspect", "heads", "demo"),
]


def failing(error: BaseException) -> Any:
    """A command line of our kind with one command, which fails."""
    failing_app = typer.Typer(cls=OneLineErrors, pretty_exceptions_enable=False)

    @failing_app.command()
    def fail() -> None:
        raise error

    @failing_app.callback()
    def root() -> None:
        """A group needs one."""

    return CliRunner().invoke(failing_app, ["fail"])


def test_commands_come_in_the_order_of_the_work() -> None:
    """The help is a table of contents."""
    result = CliRunner().invoke(app, ["--help"])

    words = [
        line.split()[0] for line in result.stdout.partition("Commands:")[2].splitlines() if line
    ]
    assert 0 == result.exit_code
    assert COMMANDS == [word for word in words if word in COMMANDS]


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=str)
def test_both_help_options_work_everywhere(command: list[str]) -> None:
    """-h is --help."""
    short, long = (CliRunner().invoke(app, [*command, option]) for option in ("-h", "--help"))

    assert (0, 0) == (short.exit_code, long.exit_code)
    assert long.stdout == short.stdout


def test_a_command_imports_no_other() -> None:
    """On a small device, every file that is not read counts."""
    code = (
        "import sys; sys.argv = ['edge-ood', 'heads']\n"
        "from edge_ood.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print(*(name for name in sys.modules if name.startswith('edge_ood.cli.')))"
    )
    done = subprocess.run([sys.executable, "-Ic", code], capture_output=True, text=True, check=True)

    loaded = {name.rpartition(".")[2] for name in done.stdout.splitlines()[-1].split()}
    assert {"heads"} == loaded & set(COMMANDS)


@pytest.mark.parametrize(
    ("words", "message", "command"),
    [
        (["expoort"], "no such command 'expoort'. Did you mean 'export'?", "edge-ood"),
        (["--foo"], "no such option: --foo", "edge-ood"),
        (["check"], "missing argument 'FILE.onnx'", "edge-ood check"),
        (["heads", "--foo"], "no such option: --foo", "edge-ood heads"),
    ],
)
def test_wrong_words_are_errors_as_all_others(words: list[str], message: str, command: str) -> None:
    """An `error:` and a `hint:` line, and exit code 2 as other programs have it."""
    result = CliRunner().invoke(app, words, prog_name="edge-ood")

    assert 2 == result.exit_code
    assert [f"error: {message}", f"hint: {command} --help"] == result.stderr.splitlines()


def test_shells_complete_commands_and_options() -> None:
    """As bash asks for them, by variables."""
    found = [
        CliRunner()
        .invoke(
            app,
            prog_name="edge-ood",
            env={
                "_EDGE_OOD_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(len(words.split()) - 1),
            },
        )
        .stdout
        for words in ("edge-ood eval", "edge-ood evaluate --boo")
    ]

    assert ["evaluate\n", "--bootstrap\n"] == found


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"TERM": "xterm"}, b"\x1b[31m\x1b[1merror\x1b[0m: no such"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, b"error: no such"),
        ({"TERM": "dumb"}, b"error: no such"),
    ],
    ids=["terminal", "NO_COLOR", "dumb"],
)
def test_errors_have_a_colour_on_terminals_that_want_one(
    settings: dict[str, str], expected: bytes
) -> None:
    """A pseudo-terminal in place of standard error."""
    ours, theirs = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    subprocess.run(
        [sys.executable, "-Im", "edge_ood", "expoort"],
        stderr=theirs,
        env={**inherited, **settings},
        check=False,
    )

    assert os.read(ours, 1000).startswith(expected)
    os.close(ours)
    os.close(theirs)


def test_no_command_shows_the_help() -> None:
    """Typing the bare name is a question, answered with the usage."""
    result = CliRunner().invoke(app, [])

    assert "Usage:" in result.output


def test_the_version_is_that_of_the_package() -> None:
    """One line, nothing else."""
    result = CliRunner().invoke(app, ["--version"])

    assert (0, f"{metadata.version('edge-ood')}\n") == (result.exit_code, result.stdout)


@pytest.mark.parametrize("arguments", [["scor"], ["score"], ["score", "--colour", "a", "b"]])
def test_usage_errors_are_exit_code_2(arguments: list[str]) -> None:
    """Unknown commands and options, and missing arguments."""
    assert 2 == CliRunner().invoke(app, arguments).exit_code


def test_an_error_is_one_line_and_a_hint() -> None:
    """On standard error, with exit code 1."""
    result = failing(DataError("no images under 'x'", hint="check the path"))

    assert 1 == result.exit_code
    assert "" == result.stdout
    assert "error: no images under 'x'\nhint: check the path\n" == result.stderr


def test_an_error_without_a_hint_has_no_hint_line() -> None:
    """Rather none than an empty one."""
    assert "error: broken\n" == failing(EdgeOodError("broken")).stderr


def test_names_in_an_error_cannot_break_the_line() -> None:
    """Line breaks, escape sequences and stray bytes of a file name are shown, not obeyed."""
    name = "a\nhint: rm -rf /\x1b[2J" + os.fsdecode(b"\xff")

    result = failing(DataError(f"cannot read '{name}'"))

    assert r"error: cannot read 'a\nhint: rm -rf /\x1b[2J\xff'" + "\n" == result.stderr


def test_an_interrupt_is_exit_code_130() -> None:
    """Ctrl-C is no error of the program."""
    result = failing(KeyboardInterrupt())

    assert (130, "interrupted\n") == (result.exit_code, result.stderr)


def test_an_interrupt_before_the_command_is_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """While options are being set up there is nothing to say about the work."""

    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("edge_ood.cli.app.app", interrupted)

    with pytest.raises(SystemExit) as stop:
        main()

    assert 130 == stop.value.code


def test_a_bug_keeps_its_traceback() -> None:
    """What is not foreseen is not dressed up."""
    for bug in (KeyError("x"), OSError(errno.EIO, "strange"), FileNotFoundError("x")):
        assert failing(bug).exception is bug


def run_into(stdout: Any, arguments: list[str]) -> "subprocess.CompletedProcess[bytes]":
    """Run `edge-ood` in a process of its own, with buffers that are flushed at exit."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", "from edge_ood.cli import main; main()", *arguments]
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, env=environment, check=False
    )


@pytest.mark.parametrize("arguments", [["heads"], ["score", "--help"], ["--version"]])
def test_a_closed_pipe_gives_no_traceback(arguments: list[str]) -> None:
    """`| head -0`: the reader is gone before the first word."""
    read, write = os.pipe()
    os.close(read)

    done = run_into(write, arguments)
    os.close(write)

    assert b"" == done.stderr


def test_a_full_disk_behind_the_output_is_an_error() -> None:
    """Any command that prints can meet one."""
    with Path("/dev/full").open("wb") as full:
        done = run_into(full, ["heads"])

    assert 1 == done.returncode
    assert b"error: cannot write standard output: No space left on device\n" in done.stderr
    assert 2 == len(done.stderr.splitlines())
