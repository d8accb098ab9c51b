"""The maximum of the likelihood, from coefficients near it, by Newton's steps with the information of all rows.

A fit ends within ``tol`` of the minimum of J, which on many rows may be a noticeable share of a standard error. A
Newton step from there ends within a ten-millionth of a standard error of the maximum. The information is taken before
that step, not at the maximum. It is precise enough if the step changes no row's score by much: a change of the scores
by d changes standard errors by at most d / 2, relatively.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .information import Information
from .likelihood import Likelihood

__all__ = ["Estimate", "maximum"]

SETTLED_CHANGE = 1e-4  # largest change of a row's scores by the last step
EXACT_CHANGE, CHEAP = 1e-9, 1e6  # the same, if an information takes at most 1e6 multiplications: under a millisecond
MOST_ESTIMATE_STEPS = 30


class Estimate(NamedTuple):
    """The maximum of l, with l and the information there, for features measured from about their means.

    ``theta`` has 0 for aliased parameters. ``excess_at_start`` is how far l was below its maximum at the start.
    """

    likelihood: Likelihood
    theta: np.ndarray
    loglik: float
    information: Information
    excess_at_start: float


def maximum(likelihood: Likelihood, theta: np.ndarray, check: Callable[[float, float], None]) -> Estimate:
    """The maximum of l near a theta; ``check(l, rise)`` may refuse that theta, by l there and by how far l can rise."""
    with likelihood.threads():
        return climbed(likelihood, theta, check)


def climbed(likelihood: Likelihood, theta: np.ndarray, check: Callable[[float, float], None]) -> Estimate:
    """``maximum``, on the threads of a fit."""
    work, start, last = likelihood.n_rows * likelihood.n_parameters**2, 0.0, np.inf
    for number in range(MOST_ESTIMATE_STEPS):
        loglik, score, matrix = likelihood.information(theta)
        information = Information(matrix, likelihood.shape[1])
        step = information.solve(score)
        rise = 0.5 * float(np.vdot(score, step))
        if number == 0:
            start = rise
            check(loglik, rise)
        if not theta.ravel()[~information.estimable].any():
            change = likelihood.largest_change(step)
            is_rounding = SETTLED_CHANGE > change > last / 2
            if change <= (EXACT_CHANGE if work <= CHEAP else SETTLED_CHANGE) or is_rounding:
                break
            last = change
        theta = information.without_aliased(theta) + step
    return Estimate(likelihood, theta + step, loglik + rise, information, start)
