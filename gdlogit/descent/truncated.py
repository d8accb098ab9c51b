"""Truncated Newton descent, for too many parameters to form a Hessian: text, wide data, many classes.

    theta := t (theta - alpha d),    H d ~ dJ(theta) by conjugate gradients

H is the Hessian of all rows, known by its products with vectors. Each product costs a pass, so the method saves
products:

1. *Forcing*. Far from the minimum a rough d is as good as an exact one, so the solve ends early. Near the minimum, the
   solve goes on until it proves that the descent has arrived.
2. *Preconditioner*. Two classes take the diagonal of H, for features measured from their means: uncentred features all
   share the intercept's direction, and text then needs two to three times the products. Several classes take a
   Kronecker product, of the features' mean x x^T and the classes' mean curvature. The preconditioner is made anew when
   the curvature of the losses has halved or doubled.
3. *l1*. The step goes roughly to the minimum of the quadratic plus the penalty: see ``lasso``.
4. *Scores*. z = X W + b + o is affine. So once z and the scores of d are known, no step length costs a pass, and a new
   gradient costs half a pass.
5. *Length*. Far from the minimum Newton's steps are too short: each raises the margins by about one, and margins may
   have far to go. After each step theta is multiplied by a t >= 1, found by Newton's method in t alone; zeros stay
   zeros.

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
from .loop import Method, goal_of

__all__ = ["truncated"]

FORCING_TERM = 0.3  # relative residual: enough for a step, as the next step has another H
CONFIRMING_RESIDUAL = 0.01  # relative residual: enough for an estimate of the excess
CONFIRMING_EXCESS = 0.3  # estimate / goal: below, only the step that confirms the estimate is left to take
PRODUCTLESS_EXCESS = 0.1  # bound / goal: below, that step needs no product
MOST_STRETCH = 2.0  # t: the curvature along theta is not to be trusted further
LEAST_STRETCH = 1.02  # t: a smaller one is not worth half a pass
OTHER_CURVATURE = 2.0  # ratio of the losses' curvatures: beyond, the preconditioner belongs to another Hessian


class Preconditioner(NamedTuple):
    """A rough metric, and the sum of the curvatures where it was taken."""

    metric: Jacobi | Kronecker
    total: float


class TruncatedState(NamedTuple):
    """theta and its scores; the preconditioner, or with l1 the metric; the next step's direction."""

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
        return state_at(objective, objective.at_scores(theta, z), z, None, 1.0, tol)

    def step(objective, state):
        point, z, rate = advance(objective, state)
        if rate == 0:
            return state._replace(rate=0.0)
        return state_at(objective, *lengthened(objective, point, z), state.preconditioner, rate, tol)

    return Method(start, step, "truncated Newton", L1Penalty, model)


def model(objective, state):
    """The local model at the state's point, with the state's metric or preconditioner."""
    metric = state.preconditioner
    if isinstance(metric, Preconditioner):
        metric = NewtonMetric(products_at(objective, objective.curvature(state.scores), metric.metric))
    return LocalModel(objective, state.point, metric)


def state_at(objective, point, z, preconditioner, rate, tol):
    """The state at a point with scores z, whose next step solves H d = -g."""
    if not objective.penalty.is_smooth:
        metric = l1_metric(objective, point, z)
        direction, excess = metric.step_and_fall(point, FORCING_TERM)
        return TruncatedState(point, min(excess, point.value), rate, z, metric, direction)  # J is not negative
    c = objective.curvature(z)
    total = objective.total_curvature(c)
    if preconditioner is None or max(total, preconditioner.total) > OTHER_CURVATURE * min(total, preconditioner.total):
        preconditioner = Preconditioner(preconditioner_at(objective, z), total)
    hessian = products_at(objective, c, preconditioner.metric)
    goal = goal_of(objective, point, tol)
    for iterate in hessian.iterates(point.gradient):
        if iterate.fall > point.value:  # J would be negative: so far away the quadratic is no model of J
            break
        proven = iterate.bound <= (goal if iterate.fall else PRODUCTLESS_EXCESS * goal)
        enough = FORCING_TERM if iterate.estimate > CONFIRMING_EXCESS * goal else CONFIRMING_RESIDUAL
        if proven or iterate.residual <= enough:
            break
    return TruncatedState(point, iterate.estimate, rate, z, preconditioner, -iterate.x)


def advance(objective, state):
    """The line search along the state's step: the new point, its scores and the rate. No rate costs a pass."""
    point, direction = state.point, state.direction
    if not direction.any():
        return point, state.scores, 1.0
    change = objective.score_changes(direction)

    def at(rate):
        return objective.at_scores(point.theta + rate * direction, state.scores + rate * change)

    point, rate = line_search(objective, point, direction, at)
    return point, state.scores + rate * change, rate


def lengthened(objective, point, z):
    """The point and its scores z, or a multiple t of theta where J is lower: a Newton step in t.

    Along theta, J has the slope theta^T dJ and the curvature theta^T H theta, which follow from the scores without a
    pass.
    """
    change = objective.score_changes(point.theta) if objective.has_offset else z  # the scores less the offset
    curvature = objective.curvature_along(point.theta, change, z)
    slope = float(np.vdot(point.gradient, point.theta)) + objective.penalty.nonsmooth_value(point.theta)
    # a Python float keeps a float32 z in float32; NumPy's float64 would not
    stretch = float(min(1 - slope / curvature, MOST_STRETCH)) if curvature > 0 else 1.0
    if stretch > LEAST_STRETCH:
        longer_z = z + (stretch - 1) * change
        longer = objective.at_scores(stretch * point.theta, longer_z)
        if longer.value < point.value:
            return longer, longer_z
    return point, z
