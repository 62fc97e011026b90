"""An independent implementation of some heads."""

import warnings

import pytest


@pytest.fixture(scope="session")
def pytorch_ood():
    """pytorch-ood's detectors, whatever their libraries warn about while they are imported."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pytorch_ood.detector")
