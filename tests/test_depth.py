"""From ``fit`` to the product X W a reader goes through few functions."""

import sys

import numpy as np
import pytest

from gdlogit import GDLogisticRegression
from gdlogit.data import dense

MOST_FRAMES = 14  # the product's own and scikit-learn's wrapper of fit included


@pytest.fixture
def deepest(monkeypatch):
    """How many frames below ``fit`` a product of a pass has, at most."""
    found = [0]

    def frames_below_fit():
        frame, names = sys._getframe(2), []
        while frame is not None and frame.f_code.co_name != "fit":
            names.append(frame.f_code.co_name)
            frame = frame.f_back
        return names if frame is not None else []

    original = dense.CentredBlock._affine

    def _affine(block, *arguments):
        names = frames_below_fit()
        if "descend" in names:
            found[0] = max(found[0], len(names) + 1)
        return original(block, *arguments)

    monkeypatch.setattr(dense.CentredBlock, "_affine", _affine)
    return found


def test_few_frames_lie_between_fit_and_the_product(deepest):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 20)) + 10
    GDLogisticRegression(random_state=0).fit(X, X[:, 0] + rng.logistic(size=4000) > 10)
    assert 0 < deepest[0] <= MOST_FRAMES
