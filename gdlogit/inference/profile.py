r"""Profile likelihood: intervals and tests that follow the likelihood itself, not its curvature at the maximum.

The profile l_a(c) is the maximum of l subject to a^T theta = c. Its 95% limits are the c at which l_a has fallen by
half the 95% quantile of chi-squared with one degree of freedom. All limits of all parameters are sought side by side
(see ``columns``). In each pass, each makes two moves: the step to the maximum subject to a^T theta = c, and along the
tangent t a step x, the root of

    f + s x - x^2 / (2 a^T V a) = 0,    f = l + rise - level,  s = u^T t.

References
----------
Venzon and Moolgavkar, "A method for computing profile-likelihood-based confidence intervals", Applied Statistics 37
(1988).
"""

import warnings

import numpy as np
from scipy.optimize import brentq
from scipy.special import chdtri

from .columns import SLOW, Columns, climb

__all__ = ["drop_tests", "profile_limits"]

LAST_MOVE = 1e-6  # in standard errors: the move at which a limit is found
LONGEST_MOVE = 2.0  # in standard errors
MOST_SHARED_PASSES = 30  # then the limits that are not found are sought one by one
MOST_BRACKETS = 40  # steps outwards, each 1.5 times as long as the last
LARGEST_FALL = 4  # fall of l / fall at the limit: where it is more, theta is moved halfway back to the maximum

MISSED = (
    "{n} profile limits were not found and are nan: the likelihood is far from quadratic, as where the classes are "
    "nearly separable."
)


def profile_limits(estimate, normals, alpha, kind=Columns):
    """The limits (n, 2) of the profile intervals for n functions a^T theta, with the normals (P, n) as columns."""
    drop = 0.5 * float(chdtri(1, alpha))
    n = normals.shape[1]
    side, of = np.tile([-1.0, 1.0], n), np.repeat(np.arange(n), 2)
    both = normals[:, of]
    top = estimate.theta.ravel()[:, None]
    columns = kind(estimate.likelihood, estimate.information, both[:, :, None], np.repeat(top, 2 * n, axis=1))
    start = columns.moves(np.arange(2 * n), np.zeros_like(both))
    error = np.sqrt(start.spread[:, 0, 0])
    columns.thetas += start.tangent[:, :, 0] * side * error * np.sqrt(2 * drop)
    limits = np.full(2 * n, np.nan)
    left, last = np.arange(2 * n), np.full(2 * n, np.inf)
    while len(left) and columns.passes < MOST_SHARED_PASSES:
        loglik, score = columns.evaluate(left)
        low = loglik < estimate.loglik - LARGEST_FALL * drop
        columns.thetas[:, left[low]] = 0.5 * (columns.thetas[:, left[low]] + top)
        loglik, score, some = loglik[~low], score[:, ~low], left[~low]
        far, move = approach(columns, some, loglik, score, estimate.loglik - drop, side, error)
        slow = (far > SLOW * last[some]) & (far > LAST_MOVE)
        if slow.any():
            columns.refresh(some[slow])
            far, move = approach(columns, some, loglik, score, estimate.loglik - drop, side, error)
        columns.thetas[:, some] += move
        last[some], done = far, some[far <= LAST_MOVE]
        limits[done] = np.einsum("jm,jm->m", both[:, done], columns.thetas[:, done])
        left = np.setdiff1d(left, done)
    for m in left:
        limits[m] = limit_by_root(estimate, both[:, m], side[m] * error[m], drop, kind)
    missed = np.count_nonzero(np.isnan(limits))
    if missed:
        warnings.warn(MISSED.format(n=missed), RuntimeWarning, stacklevel=2)
    return limits.reshape(n, 2)


def limit_by_root(estimate, normal, step, drop, kind):
    """One limit, as the root of the profile's fall, with a climb for each value of a^T theta; nan if not found.

    This is for limits that are not found side by side, for example where classes are nearly separable.
    """
    thetas = estimate.theta.reshape(-1, 1).copy()

    def beyond(value):
        """How far the profile is below the level of the limit."""
        columns = kind(estimate.likelihood, estimate.information, normal[:, None, None], thetas)
        tangent = columns.moves(np.arange(1), np.zeros_like(thetas)).tangent[:, 0, 0]
        thetas[:, 0] += tangent * (value - normal @ thetas[:, 0])
        columns.refresh([0])
        return estimate.loglik - drop - climb(columns)[0]

    inside = float(normal @ thetas[:, 0])
    for _ in range(MOST_BRACKETS):
        outside = inside + step
        fall = beyond(outside)
        if not fall < 0:
            break
        inside, step = outside, 1.5 * step
    return brentq(beyond, inside, outside, xtol=LAST_MOVE * abs(step)) if fall >= 0 else np.nan


def approach(columns, some, loglik, score, level, side, error):
    """The distance of some columns to their limits, in standard errors, and the move to the limits."""
    moves = columns.moves(some, score)
    tangent, curvature = moves.tangent[:, :, 0], 1 / moves.spread[:, 0, 0]
    f, s = loglik + moves.rise - level, np.einsum("jm,jm->m", score, tangent)
    s = np.where(side[some] * s < 0, s, 0.0)  # a profile that rises outwards is not at its top yet
    root = np.sqrt(np.maximum(s**2 + 2 * curvature * f, 0))
    x = (s + side[some] * root) / curvature
    x = np.clip(x, -LONGEST_MOVE * error[some], LONGEST_MOVE * error[some])
    far = np.maximum(np.abs(x) / error[some], np.sqrt(2 * np.maximum(moves.rise, 0)))
    return far, moves.step + tangent * x


def drop_tests(estimate, normals, kind=Columns):
    """The l (M,) at the maxima subject to a_m^T theta = 0, for normals (P, M, q)."""
    P, M, _ = normals.shape
    theta = estimate.theta.ravel()
    columns = kind(estimate.likelihood, estimate.information, normals, np.repeat(theta[:, None], M, axis=1))
    start = columns.moves(np.arange(M), np.zeros((P, M)))
    columns.thetas -= np.einsum("jmq,mq->jm", start.tangent, np.einsum("jmq,j->mq", normals, theta))
    return climb(columns)
