"""Whether the decision in a file is the one that its calibration images gave."""

import numpy as np
import onnx

from edge_ood.artifact.contract import decision_of, pvalue_of
from edge_ood.calibration.combination import COMBINED
from edge_ood.calibration.decision import Decision
from edge_ood.calibration.decision_table import DecisionTable
from edge_ood.errors import ExportError
from edge_ood.graph.decision import read_decision

__all__ = ["check_decision"]


def check_decision(model: onnx.ModelProto, expected: Decision) -> None:
    """Compare thresholds and knots, to the bit.

    Raises:
        ExportError: If the file holds others than those of `expected`.
    """
    found = read_decision(model, expected.outputs)
    _check_same(found.table, expected.table)
    if expected.combined and found.combined:
        _check_same(found.combined.table, expected.combined.table)
        of_file, calibrated = found.combined.combination, expected.combined.combination
        maps, fitted = found.to_arrays(), expected.to_arrays()
        same = (of_file.heads, of_file.rule) == (calibrated.heads, calibrated.rule)
        if not same or not all(np.array_equal(maps[name], fitted[name]) for name in fitted):
            raise ExportError(
                f"'{COMBINED}': the file's maps are not those of its calibration images",
                hint="calibrate the file again",
            )


def _check_same(found: DecisionTable, expected: DecisionTable) -> None:
    for row, head in enumerate(expected.heads):
        of_file, fitted = found.thresholds[row], expected.thresholds[row]
        if not np.array_equal(of_file, fitted):
            raise ExportError(
                f"{decision_of(head)!r}: the file's threshold is {of_file.tolist()}, its "
                f"calibration images give {fitted.tolist()}",
                hint="calibrate the file again",
            )
        same = np.array_equal(found.groups, expected.groups)
        same &= np.array_equal(found.pvalues, expected.pvalues)
        if not same or not np.array_equal(found.knots[row], expected.knots[row]):
            raise ExportError(
                f"{pvalue_of(head)!r}: the file's knots are not those of its calibration images",
                hint="calibrate the file again",
            )
