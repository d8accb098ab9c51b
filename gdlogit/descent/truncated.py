"""Truncated Newton descent, for more parameters than a Hessian can be formed of: text, wide data, many classes.

    theta := t (theta - alpha d),    H d ~ dJ(theta) by conjugate gradients

H is the Hessian of all rows, known by its products with vectors, each a pass; everything here is there to save them.

1. *Forcing*. Far from the minimum a rough d is as good as an exact one, so the solve ends early. Near it, the solve
   goes on until it proves that the descent has arrived.
2. *Preconditioner*. The diagonal of H, of features measured from their means: uncentred, they all share the
   intercept's direction, and text needs two to three times the products. For several classes a Kronecker product, the
   features' mean x x^T and the classes' mean curvature. It is taken anew when the losses' curvature has halved or
   doubled since the last.
3. *l1*. The step goes to the minimum of the quadratic with the penalty, roughly: see ``lasso``.
4. *Scores*. z = X W + b + o is affine, so with z and the scores of d at hand no step length costs a pass, and a new
   gradient only half of one.
5. *Length*. Far from the minimum Newton's steps fall short: they raise the margins by about one each, and margins may
   have far to go. All of theta is made longer, by the t >= 1 to which Newton's method in that one number leads; zeros
   stay zeros.

References
----------
Nocedal and Wright, "Numerical Optimization" (2006), section 7.1.
Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", ICML 2015.
Hsia, Chiang and Lin, "Preconditioned conjugate gradient methods in truncated Newton frameworks", ACML 2018.
"""

from typing import NamedTuple

import numpy as np

from ..objective import Point
from ..penalty import L1Penalty
from ..quadratic.curvature import Jacobi, Kronecker
from ..quadratic.metric import (
    L1Products,
    L1WorkingSet,
    LocalModel,
    NewtonMetric,
    l1_metric,
    preconditioner_at,
    products_at,
)
from .armijo import line_search
from .loop import Method, target

__all__ = ["truncated"]

FORCING_TERM = 0.3  # of the residual: enough for a step, as the next has another H
CONFIRMING_RESIDUAL = 0.01  # of the residual: enough for an estimate
CONFIRMING_EXCESS = 0.3  # of the goal: no step but the one that confirms it is needed
PRODUCTLESS_EXCESS = 0.1  # of the goal: not even a product is needed
MOST_STRETCH = 2.0  # multiples of theta: as far as its curvature is to be trusted
LEAST_STRETCH = 1.02  # multiples of theta: worth half a pass
OTHER_CURVATURE = 2.0  # times the losses' curvature, or a part of it: the preconditioner is then of another Hessian


class Preconditioner(NamedTuple):
    """A rough metric, and the sum of the curvatures where it was taken."""

    metric: Jacobi | Kronecker
    total: float


class TruncatedState(NamedTuple):
    """theta and its scores; the preconditioner, or with l1 the metric; the step to take next."""

    point: Point
    excess: float
    rate: float
    scores: np.ndarray
    preconditioner: Preconditioner | L1WorkingSet | L1Products
    direction: np.ndarray


def truncated(tol):
    """Newton's method with directions from conjugate gradients, for a goal of tol."""

    def start(objective, theta):
        z = objective.scores(theta)
        return aim(objective, objective.at_scores(theta, z), z, None, 1.0, tol)

    def step(objective, state):
        point, z, rate = advance(objective, state)
        if rate == 0:
            return state._replace(rate=0.0)
        return aim(objective, *lengthened(objective, point, z), state.preconditioner, rate, tol)

    return Method(start, step, "truncated Newton", L1Penalty, model)


def model(objective, state):
    """The local model at the state's point, from what the state has there."""
    metric = state.preconditioner
    if isinstance(metric, Preconditioner):
        metric = NewtonMetric(products_at(objective, objective.curvature(state.scores), metric.metric))
    return LocalModel(objective, state.point, metric)


def aim(objective, point, z, preconditioner, rate, tol):
    """The state whose next step solves H d = -g."""
    if not objective.penalty.is_smooth:
        metric = l1_metric(objective, point, z)
        direction, excess = metric.aim(point, FORCING_TERM)
        return TruncatedState(point, excess, rate, z, metric, direction)
    c = objective.curvature(z)
    total = objective.total_curvature(c)
    if preconditioner is None or max(total, preconditioner.total) > OTHER_CURVATURE * min(total, preconditioner.total):
        preconditioner = Preconditioner(preconditioner_at(objective, z), total)
    hessian = products_at(objective, c, preconditioner.metric)
    goal = target(objective, point, tol)
    for iterate in hessian.iterates(point.gradient):
        if iterate.fall > point.value:  # J would be negative: the quadratic is no model of it so far away
            break
        proven = iterate.bound <= (goal if iterate.fall else PRODUCTLESS_EXCESS * goal)
        enough = FORCING_TERM if iterate.estimate > CONFIRMING_EXCESS * goal else CONFIRMING_RESIDUAL
        if proven or iterate.residual <= enough:
            break
    return TruncatedState(point, iterate.estimate, rate, z, preconditioner, -iterate.x)


def advance(objective, state):
    """The line search along the state's step: the point, its scores and the rate. No length costs a pass."""
    point, direction = state.point, state.direction
    if not direction.any():
        return point, state.scores, 1.0
    change = objective.score_changes(direction)

    def at(rate):
        return objective.at_scores(point.theta + rate * direction, state.scores + rate * change)

    point, rate = line_search(objective, point, direction, at)
    return point, state.scores + rate * change, rate


def lengthened(objective, point, z):
    """The point and its scores z, or a multiple of both where J is lower: Newton's method in that one number.

    Along theta, J has the slope theta^T dJ and the curvature theta^T H theta, which the scores know without a pass.
    """
    change = objective.score_changes(point.theta) if objective.has_offset else z  # that theta makes, as a direction
    curvature = objective.curvature_along(point.theta, change, z)
    slope = float(np.vdot(point.gradient, point.theta)) + objective.penalty.nonsmooth_value(point.theta)
    # NumPy's float64 would make z one
    length = float(min(1 - slope / curvature, MOST_STRETCH)) if curvature > 0 else 1.0
    if length > LEAST_STRETCH:
        moved = z + (length - 1) * change
        longer = objective.at_scores(length * point.theta, moved)
        if longer.value < point.value:
            return longer, moved
    return point, z
