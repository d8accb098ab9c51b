"""The maximum of the likelihood, from coefficients that are near it.

A fit ends within ``tol`` of the minimum of J, which on many rows may be a noticeable part of a standard error. Newton
steps with the information of all rows go the rest of the way: each multiplies its distance by about that distance.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .information import Information
from .likelihood import Likelihood

__all__ = ["Estimate", "maximum"]

SETTLED = 1e-11  # mean squared change of the scores, weighted by curvature: the information then moves by about 1e-6
EXACT, CHEAP = 1e-22, 1e8  # the same where an information takes no more multiplications: some milliseconds
STEPS = 30  # at most


class Estimate(NamedTuple):
    """The maximum of l, and what is known there, where features are measured from about their means.

    ``theta`` has 0 for aliased parameters. ``loglik_at_start`` and ``excess_at_start`` are l where the search began and
    by how much l was below its maximum there.
    """

    likelihood: Likelihood
    theta: np.ndarray
    loglik: float
    information: Information
    loglik_at_start: float
    excess_at_start: float


def maximum(likelihood: Likelihood, theta: np.ndarray, check: Callable[[float, float], None]) -> Estimate:
    """The maximum of l near a theta; ``check(l, rise)`` may refuse that theta, by its l and how far l can rise."""
    n_last, total, start = likelihood.shape[1], likelihood.total, None
    cheap = likelihood.n_rows * likelihood.n_parameters**2 <= CHEAP
    settled, last = (EXACT if cheap else SETTLED) * total, np.inf
    for _ in range(STEPS):
        loglik, score, matrix = likelihood.information(theta)
        information = Information(matrix, n_last)
        step = information.solve(score)
        rise = 0.5 * float(np.vdot(score, step))
        if start is None:
            start = loglik, rise
            check(*start)
        aliased = theta.ravel()[~information.estimable]
        if not aliased.any() and (2 * rise <= settled or SETTLED * total > rise > last / 4):  # or nothing but rounding
            break
        theta, last = information.without_aliased(theta) + step, rise
    return Estimate(likelihood, theta + step, loglik + rise, information, *start)
