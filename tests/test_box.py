"""The minimum of a quadratic with l1 within bounds: the conditions of a minimum, for each coordinate."""

import numpy as np
import pytest

from gdlogit.quadratic.box import minimise_in_box


def quadratic(seed, n=300):
    """M of strongly correlated coordinates in units of their own, a slope g, and the units."""
    rng = np.random.default_rng(seed)
    unit = 10.0 ** rng.uniform(-2, 2, n)
    A = rng.standard_normal((2 * n, n)) + 2 * rng.standard_normal((2 * n, 1))
    M = A.T @ A / len(A) * unit[:, None] * unit
    return M, -M @ (rng.uniform(-1, 1, n) / unit), unit


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("l1", [0.0, 1e-3, 0.3])
@pytest.mark.parametrize("bound", [0.2, np.inf])
def test_no_coordinate_can_lower_q(seed, l1, bound):
    M, g, unit = quadratic(seed)
    strength, high = l1 * unit, 1.5 * bound / unit
    low = -bound / unit
    x, fall, found = minimise_in_box(
        M, g, np.zeros(len(g)), strength, low, high, lambda some: M[np.ix_(some, some)], 1.0
    )
    assert found
    assert (low <= x).all()
    assert (x <= high).all()
    slope = (g + M @ x) / unit
    upwards, downwards = slope + l1 * np.where(x >= 0, 1, -1), -slope + l1 * np.where(x <= 0, 1, -1)
    assert (upwards[x < high] > -1e-6).all()
    assert (downwards[x > low] > -1e-6).all()
    assert fall == pytest.approx(-(g @ x + 0.5 * x @ M @ x + strength @ np.abs(x)), rel=1e-9)
