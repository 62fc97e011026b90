"""What making an artefact shows meanwhile."""

import io
import sys

import pytest

from edge_ood.cli._steps import StepDisplay


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It does."""
        return True


def shown(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a step of two passes over three images writes, and a note in between."""
    monkeypatch.setattr(sys, "stderr", stream)
    with StepDisplay() as display:
        display.step("fit")
        for done in (1, 2, 3, 1, 3):
            display.show(done, 3)
        display.note("look")
    return stream.getvalue()


def test_a_terminal_shows_how_many_images_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each pass has a bar of its own, which ends before anything else is said."""
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(Terminal(), monkeypatch)

    assert text.startswith("fitting statistics")
    assert 2 == text.count("3/3")
    assert "1/3" in text
    assert text.endswith("\nnote: look\n")


def test_a_log_shows_steps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars would fill it."""
    lines = shown(io.StringIO(), monkeypatch).splitlines()

    assert 2 == len(lines)
    assert "note: look" == lines[1]
