"""The gradient of (x - mean) / sqrt(variance + epsilon) over some axes."""

import math

from edge_ood.graph.tape import Tape


def pull_back(tape: Tape, gradient: str, x: str, axes: list[int], epsilon: float) -> str:
    """(g - mean(g) - n mean(g n)) / deviation, where n is x normalised."""
    share = tape.number(1 / math.prod(_sizes(tape, x, axes)), x)

    def mean(name: str) -> str:
        return tape.emit("Mul", tape.emit("ReduceSum", name, tape.integers(axes)), share)

    centred = tape.emit("Sub", x, mean(x))
    variance = mean(tape.emit("Mul", centred, centred))
    deviation = tape.emit("Sqrt", tape.emit("Add", variance, tape.number(epsilon, x)))
    normalised = tape.emit("Div", centred, deviation)
    along = tape.emit("Mul", normalised, mean(tape.emit("Mul", gradient, normalised)))
    rest = tape.emit("Sub", tape.emit("Sub", gradient, mean(gradient)), along)
    return tape.emit("Div", rest, deviation)


def _sizes(tape: Tape, x: str, axes: list[int]) -> list[int]:
    return tape.sizes(x, range(axes[0], axes[-1] + 1))
