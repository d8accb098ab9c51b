"""Truncated Newton descent with an l1 penalty, on a working set of features: text, and more features than rows.

    theta := t (theta + alpha d),    d ~ argmin of dJ^T d + 1/2 d^T H d + penalty(theta + d)

H is the Hessian of all rows, known by the columns of a working set or by products with vectors (``lasso``). Each solve
costs passes, so the method saves them:

1. *Forcing*. The step goes roughly to the minimum of the model, as the next step has another H.
2. *Scores*. z = X W + b + o is affine. So once z and the scores of d are known, neither a step length nor t costs a
   pass, and the new gradient costs half a pass.
3. *Length*. Far from the minimum Newton's steps are too short: each raises the margins by about one, and margins may
   have far to go. After each step theta is multiplied by a t >= 1, found by Newton's method in t alone; zeros stay
   zeros.

References
----------
Nocedal and Wright, "Numerical Optimization" (2006), section 7.1.
"""

from math import inf
from typing import Any, NamedTuple

import numpy as np

from ..objective import Point
from ..penalty import L1Penalty
from ..quadratic.l1_metric import l1_metric
from ..quadratic.metric import LocalModel
from .armijo import line_search
from .loop import Method

__all__ = ["truncated"]

FORCING_TERM = 0.3  # relative residual: enough for a step, as the next step has another H
MOST_STRETCH = 2.0  # t: the curvature along theta is not to be trusted further
LEAST_STRETCH = 1.02  # t: a smaller one is not worth half a pass


class Trial(NamedTuple):
    """theta, and J there."""

    theta: np.ndarray
    value: float


class TruncatedState(NamedTuple):
    """theta and its scores; the metric there, and the next step's direction."""

    point: Point
    excess: float
    rate: float
    scores: np.ndarray
    metric: Any
    direction: np.ndarray


def truncated():
    """Newton's method with rough steps, for a penalty with an l1 part."""

    def start(objective, theta):
        z = objective.scores(theta)
        return state_at(objective, objective.at_scores(theta, z), z, 1.0)

    def step(objective, state):
        trial, z, rate = advance(objective, state)
        if rate == 0:
            return state._replace(rate=0.0)
        theta, z = lengthened(objective, trial, z)
        return state_at(objective, objective.at_scores(theta, z), z, rate, state.excess)

    return Method(start, step, "truncated Newton", L1Penalty, model)


def model(objective, state):
    """The local model at the state's point, with the state's metric."""
    return LocalModel(objective, state.point, state.metric)


def state_at(objective, point, z, rate, last_excess=inf):
    """The state at a point with scores z, whose next step goes roughly to the minimum of the metric's model."""
    metric = l1_metric(objective, point, z, last_excess)
    direction, excess = metric.step_and_fall(point, FORCING_TERM)
    return TruncatedState(point, min(excess, point.value), rate, z, metric, direction)  # J is not negative


def advance(objective, state):
    """The line search along the state's step: the new theta with J there, its scores, and the rate, for half a pass."""
    point, direction = state.point, state.direction
    if not direction.any():
        return Trial(point.theta, point.value), state.scores, 1.0
    change = objective.score_changes(direction)

    def at(rate):
        theta = point.theta + rate * direction
        return Trial(theta, objective.value_at_scores(theta, state.scores + rate * change))

    trial, rate = line_search(objective, point, direction, at)
    return trial, state.scores + rate * change, rate


def lengthened(objective, trial, z):
    """The trial's theta and its scores z, or a multiple t of theta where J is lower: a Newton step in t.

    Along theta, J has the slope theta^T dJ and the curvature theta^T H theta, which follow from the scores without a
    pass.
    """
    theta = trial.theta
    change = objective.score_changes(theta) if objective.has_offset else z  # the scores less the offset
    curvature = objective.curvature_along(theta, change, z)
    slope = objective.slope_along(theta, theta, change, z) + objective.penalty.nonsmooth_value(theta)
    # a Python float keeps a float32 z in float32; NumPy's float64 would not
    stretch = float(min(1 - slope / curvature, MOST_STRETCH)) if curvature > 0 else 1.0
    if stretch > LEAST_STRETCH:
        longer, longer_z = stretch * theta, z + (stretch - 1) * change
        if objective.value_at_scores(longer, longer_z) < trial.value:
            return longer, longer_z
    return theta, z
