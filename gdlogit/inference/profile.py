r"""Profile likelihood: intervals and tests that follow the likelihood itself, not its curvature at the maximum.

The profile l_a(c) is the maximum of l where a^T theta = c. Its 95% limits are the c at which l_a has fallen by half the
quantile of chi-squared with one degree of freedom. All limits of all parameters are sought side by side (see
``columns``), each by two moves a pass: the step to the maximum within a^T theta = c, and along the tangent t the root x
of

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

NEAR = 1e-6  # of a standard error: the last move
FARTHEST = 2.0  # standard errors in one move
SIDE_BY_SIDE = 30  # passes, before what is left is sought by itself
BRACKETS = 40  # steps outwards, each half as long again
LOWEST = 4  # times the fall of l at the limit: a theta with a larger fall is half as far from the maximum

MISSED = (
    "{n} profile limits were not found and are nan: the likelihood is far from quadratic, as where the classes are "
    "nearly separable."
)


def profile_limits(estimate, normals, alpha, kind=Columns):
    """The limits (n, 2) of the profile intervals for the functions a^T theta, normals (P, n)."""
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
    while len(left) and columns.passes < SIDE_BY_SIDE:
        loglik, score = columns.evaluate(left)
        low = loglik < estimate.loglik - LOWEST * drop
        columns.thetas[:, left[low]] = 0.5 * (columns.thetas[:, left[low]] + top)
        loglik, score, some = loglik[~low], score[:, ~low], left[~low]
        far, move = approach(columns, some, loglik, score, estimate.loglik - drop, side, error)
        slow = (far > SLOW * last[some]) & (far > NEAR)
        if slow.any():
            columns.refresh(some[slow])
            far, move = approach(columns, some, loglik, score, estimate.loglik - drop, side, error)
        columns.thetas[:, some] += move
        last[some], done = far, some[far <= NEAR]
        limits[done] = np.einsum("jm,jm->m", both[:, done], columns.thetas[:, done])
        left = np.setdiff1d(left, done)
    for m in left:
        limits[m] = limit_by_root(estimate, both[:, m], side[m] * error[m], drop, kind)
    missed = np.count_nonzero(np.isnan(limits))
    if missed:
        warnings.warn(MISSED.format(n=missed), RuntimeWarning, stacklevel=2)
    return limits.reshape(n, 2)


def limit_by_root(estimate, normal, step, drop, kind):
    """One limit, as the root of the profile's fall: each value of a^T theta has a climb of its own.

    For limits that are not found side by side, as where classes are nearly separable. Nan where it is not found.
    """
    thetas = estimate.theta.reshape(-1, 1).copy()

    def beyond(value):
        """By how much the profile has fallen below the level."""
        columns = kind(estimate.likelihood, estimate.information, normal[:, None, None], thetas)
        tangent = columns.moves(np.arange(1), np.zeros_like(thetas)).tangent[:, 0, 0]
        thetas[:, 0] += tangent * (value - normal @ thetas[:, 0])
        columns.refresh([0])
        return estimate.loglik - drop - climb(columns)[0]

    inside = float(normal @ thetas[:, 0])
    for _ in range(BRACKETS):
        outside = inside + step
        fall = beyond(outside)
        if not fall < 0:
            break
        inside, step = outside, 1.5 * step
    return brentq(beyond, inside, outside, xtol=NEAR * abs(step)) if fall >= 0 else np.nan


def approach(columns, some, loglik, score, level, side, error):
    """How far some columns are from their limits, in standard errors, and the move there."""
    moves = columns.moves(some, score)
    tangent, curvature = moves.tangent[:, :, 0], 1 / moves.spread[:, 0, 0]
    f, s = loglik + moves.rise - level, np.einsum("jm,jm->m", score, tangent)
    s = np.where(side[some] * s < 0, s, 0.0)  # a profile that rises outwards has not come to its top
    root = np.sqrt(np.maximum(s**2 + 2 * curvature * f, 0))
    x = (s + side[some] * root) / curvature
    x = np.clip(x, -FARTHEST * error[some], FARTHEST * error[some])
    far = np.maximum(np.abs(x) / error[some], np.sqrt(2 * np.maximum(moves.rise, 0)))
    return far, moves.step + tangent * x


def drop_tests(estimate, normals, kind=Columns):
    """The l (M,) of the maxima where a_m^T theta = 0, for normals (P, M, q)."""
    P, M, _ = normals.shape
    theta = estimate.theta.ravel()
    columns = kind(estimate.likelihood, estimate.information, normals, np.repeat(theta[:, None], M, axis=1))
    start = columns.moves(np.arange(M), np.zeros((P, M)))
    columns.thetas -= np.einsum("jmq,mq->jm", start.tangent, np.einsum("jmq,j->mq", normals, theta))
    return climb(columns)
