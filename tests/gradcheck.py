"""Check a gradient against central differences in a random direction.

For a unit direction u and a small step h,

    (f(theta + h u) - f(theta - h u)) / (2 h)  =  <gradient(theta), u>  +  O(h^2).

One direction costs two evaluations however many parameters there are, and a wrong entry of the gradient
shows in almost every direction (after ``autograd.test_util``, Maclaurin, Duvenaud and Adams).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray


def check_gradient(
    function: Callable[[NDArray], float],
    gradient: Callable[[NDArray], ArrayLike],
    theta: ArrayLike,
    rng: np.random.Generator,
    rtol: float = 1e-6,
) -> None:
    """Assert that ``gradient(theta)`` is the gradient of the scalar ``function`` at ``theta``.

    Both take an array of the shape of ``theta``, which is any.  The difference allowed is ``rtol`` times the
    norm of the gradient, plus what rounding may do to the two values of the function.
    """
    theta = np.asarray(theta, dtype=np.float64)
    exact = np.asarray(gradient(theta), dtype=np.float64)
    assert exact.shape == theta.shape, f"gradient has shape {exact.shape}, theta has {theta.shape}"

    direction = rng.standard_normal(theta.shape)
    direction /= np.linalg.norm(direction)
    eps = np.finfo(np.float64).eps
    step = np.cbrt(eps) * max(1.0, np.abs(theta).max())  # balances the O(h^2) against rounding, O(eps / h)
    above, below = (float(function(theta + sign * step * direction)) for sign in (1, -1))

    analytic = float(np.sum(exact * direction))
    numeric = (above - below) / (2 * step)
    rounding = 100 * eps * max(abs(above), abs(below)) / step
    assert abs(analytic - numeric) <= rtol * np.linalg.norm(exact) + rounding, (
        f"the gradient is wrong: along a random direction it gives {analytic!r}, central differences give {numeric!r}"
    )
