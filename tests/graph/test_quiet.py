"""What a converter says is not heard, and everybody else is heard again afterwards."""

import logging
import sys
import warnings

import pytest

from edge_ood.graph.quiet import quiet


def test_nothing_is_heard_inside(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Prints to both streams, warnings (which are errors here) and logs of any level."""
    with quiet():
        print("progress")  # noqa: T201
        print("progress", file=sys.stderr)  # noqa: T201
        warnings.warn("deprecated", stacklevel=1)
        logging.getLogger("converter").critical("advice")

    assert ("", "") == tuple(capsys.readouterr())
    assert [] == caplog.records


@pytest.mark.parametrize("level", [logging.NOTSET, logging.WARNING])
def test_logging_is_as_it_was_afterwards(level: int) -> None:
    """Whoever had disabled some of it keeps that, after an error too."""
    logging.disable(level)
    try:
        with pytest.raises(KeyError), quiet():
            raise KeyError
        found = logging.root.manager.disable
    finally:
        logging.disable(logging.NOTSET)

    assert level == found
