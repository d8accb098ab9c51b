"""The maximum of the likelihood, from coefficients near it, by Newton's steps with the information of all rows.

A fit ends within ``tol`` of the minimum of J, which on many rows may be a noticeable part of a standard error. A step
from there ends at the maximum, but for a ten-millionth of a standard error; so the last information is not that of the
maximum, but that before the last step. It is good enough if no row's scores change by more than a little: a change of
the scores by d changes standard errors by at most d / 2, relatively.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from .information import Information
from .likelihood import Likelihood

__all__ = ["Estimate", "maximum"]

SETTLED_CHANGE = 1e-4  # change of a row's scores
EXACT_CHANGE, CHEAP = 1e-9, 1e6  # the same where an information takes no more multiplications: less than a millisecond
MOST_ESTIMATE_STEPS = 30  # at most


class Estimate(NamedTuple):
    """The maximum of l, and what is known there, where features are measured from about their means.

    ``theta`` has 0 for aliased parameters. ``excess_at_start`` is by how much l was below its maximum where the search
    began.
    """

    likelihood: Likelihood
    theta: np.ndarray
    loglik: float
    information: Information
    excess_at_start: float


def maximum(likelihood: Likelihood, theta: np.ndarray, check: Callable[[float, float], None]) -> Estimate:
    """The maximum of l near a theta; ``check(l, rise)`` may refuse that theta, by its l and how far l can rise."""
    with likelihood.threads():
        return climbed(likelihood, theta, check)


def climbed(likelihood: Likelihood, theta: np.ndarray, check: Callable[[float, float], None]) -> Estimate:
    """The same, where the cores are held."""
    work, start, last = likelihood.n_rows * likelihood.n_parameters**2, None, np.inf
    for _ in range(MOST_ESTIMATE_STEPS):
        loglik, score, matrix = likelihood.information(theta)
        information = Information(matrix, likelihood.shape[1])
        step = information.solve(score)
        rise = 0.5 * float(np.vdot(score, step))
        if start is None:
            start = rise
            check(loglik, rise)
        if not theta.ravel()[~information.estimable].any():
            change = likelihood.largest_change(step)
            if (
                change <= (EXACT_CHANGE if work <= CHEAP else SETTLED_CHANGE) or SETTLED_CHANGE > change > last / 2
            ):  # or it is rounding
                break
            last = change
        theta = information.without_aliased(theta) + step
    return Estimate(likelihood, theta + step, loglik + rise, information, start)
