"""Batch gradient descent, and Nesterov's acceleration of it.

    gd          theta := prox(theta - alpha dJ(theta))                        w := w - alpha dw,  b := b - alpha db
    nesterov    theta' := prox(v - alpha dJ(v)),   v := theta' + (t - 1) / t' (theta' - theta),
                t' = (1 + sqrt(1 + 4 t^2)) / 2,   t := 1 where (v - theta') . (theta' - theta) > 0 (restart)

``diagonal_nesterov`` has a rate for each parameter, alpha / m_j, where m_j is the largest curvature along it.

An l1 penalty acts by its prox, which moves W towards 0 by alpha l1, and to exact zeros; without l1, prox changes
nothing.

Both methods cost one pass a step. The point that nesterov reports and returns is v, where J and dJ are known. The
automatic rate is alpha = 1 / L, with L the largest curvature that J has anywhere; gradient descent does not diverge at
any rate below 2 / L.

References
----------
Cauchy (1847). Nesterov, "Introductory Lectures on Convex Optimization" (2004), sections 1.2.3 and 2.2.
Beck and Teboulle, "A fast iterative shrinkage-thresholding algorithm", SIAM J. Imaging Sciences 2 (2009).
O'Donoghue and Candes, "Adaptive restart for accelerated gradient schemes", Found. Comput. Math. 15 (2015).
"""

from math import nan, sqrt
from typing import NamedTuple

import numpy as np

from ..moments import mean_squares
from ..objective import Point, tried
from ..smoothness import smoothness
from .loop import Method

__all__ = ["batch", "diagonal_nesterov", "nesterov"]

SMOOTHNESS_TOL = 0.01  # of L: takes 21 passes, where its rounding takes 31 to 151


def downhill(theta, rate, gradient, penalty):
    """One step: prox(theta - alpha dJ). It overflows at a rate that is far too large, which ``tried`` notices."""
    with np.errstate(over="ignore", invalid="ignore"):
        return penalty.prox(theta - rate * gradient, rate)


class GradientState(NamedTuple):
    """theta, and the rate alpha."""

    point: Point
    excess: float
    rate: float


def batch(learning_rate):
    """Gradient descent: theta := theta - alpha dJ, with every row in every step."""

    def start(objective, theta):
        return GradientState(objective.at(theta), nan, resolve(learning_rate, objective))

    def step(objective, state):
        theta, _, gradient = state.point
        return state._replace(point=tried(objective, downhill(theta, state.rate, gradient, objective.penalty)))

    return Method(start, step, "gd")


class NesterovState(NamedTuple):
    """The extrapolated point v; the rate; theta, where the last step ended; t, from which the momentum follows.

    ``metric``, a number for each feature, divides the rate; 1.0 is one rate for all features.
    """

    point: Point
    excess: float
    rate: float
    theta: np.ndarray
    t: float
    metric: np.ndarray | float = 1.0


def nesterov(learning_rate):
    """Accelerated gradient descent, which drops its momentum where the momentum points uphill."""

    def start(objective, theta):
        return NesterovState(objective.at(theta), nan, resolve(learning_rate, objective), theta, 1.0)

    return Method(start, nesterov_step, "nesterov")


def diagonal_nesterov():
    """The same in the metric of the largest curvature of each feature: for bounds, where no Hessian is formed.

    A diagonal metric leaves the prox and the projection to the bounds coordinate by coordinate.
    """

    def start(objective, theta):
        largest = objective.loss.max_curvature * mean_squares(objective) + objective.penalty_curvature[:, 0]
        metric = np.where(largest > 0, largest, 1.0)
        rate = stable_rate(smoothness(objective, 1 / np.sqrt(metric), SMOOTHNESS_TOL))
        return NesterovState(objective.at(theta), nan, rate, theta, 1.0, metric[:, None])

    return Method(start, nesterov_step, "nesterov in a diagonal metric")


def nesterov_step(objective, state):
    """One step of either."""
    v, _, gradient = state.point
    theta = downhill(v, state.rate / state.metric, gradient, objective.penalty)
    with np.errstate(over="ignore", invalid="ignore"):
        uphill = np.vdot(state.metric * (v - theta), theta - state.theta) > 0
        clock = 1.0 if uphill else state.t
        t = (1 + sqrt(1 + 4 * clock**2)) / 2
        v = theta + (clock - 1) / t * (theta - state.theta)
        v = objective.penalty.prox(v, 0.0)  # J is infinite outside of bounds
    return state._replace(point=tried(objective, v), theta=theta, t=t)


def resolve(learning_rate, objective):
    """The rate itself, or 1 / L for "auto"."""
    return stable_rate(smoothness(objective)) if learning_rate == "auto" else learning_rate


def stable_rate(largest_curvature):
    """1 / L; 1 where J has no curvature, is constant, and any rate will do."""
    return 1 / largest_curvature if largest_curvature else 1.0
