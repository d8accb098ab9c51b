"""Proximal quasi-Newton descent in the metric of the features: an l1 penalty and too many parameters for a Hessian.

    theta := theta + alpha (x - theta),    x ~ argmin of g^T x + 1/2 (x - theta)^T M (x - theta) + penalty(x)

M is the metric of the features, improved by secant pairs (``spectral``). As in ``quasi_newton``, J falls in each step,
from any start, a step takes one pass, and no model is trusted where it does not hold. The differences:

1. *Step*. The model keeps the kinks of the penalty, so coefficients reach zero exactly, and many at a time. A step of
   rate 1 is tried first, because it keeps these zeros.
2. *Newton's step* minimises the quadratic of all rows' Hessian with the penalty, by products (``lasso``). It is solved
   for now and then on few rows, and where the cheap estimate of the excess is within the goal twice in a row.
3. *Balance*. The coefficients of a softmax are shifted to the least penalty.

References
----------
Lee, Sun and Saunders, "Proximal Newton-type methods for minimizing composite functions", SIAM J. Optim. 24 (2014).
"""

import numpy as np

from ..line import Line, labels_and_weights
from ..objective import Point
from ..penalty import L1Penalty, free_of, shrink
from ..quadratic.features import Features, with_gram
from ..quadratic.l1_metric import Limited, l1_metric
from ..quadratic.metric import LocalModel, Solved
from ..quadratic.price import EIGENVECTORS
from ..quadratic.spectral import Eigenbasis, SpectralMetric
from .loop import Method, goal_of
from .quasi_newton import QuasiState, ends_if_small, has_settled, is_stale, left, tries_newton, wants_gram
from .wolfe import Trial, search

__all__ = ["proximal_quasi_newton"]

ZERO_ROUNDING = 1e-9  # coefficient / coefficient before, up to which it is 0 but for rounding: rates of 1 - 6e-12 occur
NEWTON_RESIDUAL = 0.1  # slope of Newton's model / slope at its start: enough for an estimate of the excess


def proximal_quasi_newton(tol, rng, settles=False):
    """Proximal L-BFGS in the metric of the features, for a goal of tol.

    With ``settles``, a long descent ends before the goal, once J falls too slowly to matter.
    """

    def start(objective, theta):
        theta = objective.penalty.balanced(theta)
        z, labels = objective.scores(theta), labels_and_weights(objective)
        line = Line(objective, labels, z, z)
        loss = line.loss_and_gradient(0.0)
        point = line.point(theta, z, loss)
        basis = Features.of(objective)
        state = QuasiState(point, np.nan, 1.0, z, loss.mean, loss.error, labels, basis, None, 0.0, theta)
        return with_direction(objective, renewed(objective, state, rng), tol)

    def step(objective, state):
        moved = advance(objective, state)
        if moved is None:  # a metric that is made here, without pairs, may still lead downhill
            state = renewed(objective, state._replace(metric=None), rng)
            state = with_direction(objective, state, tol)
            moved = advance(objective, state)
        if moved is None and state.solved is None:  # nor does that metric: Newton's step does
            state = verified(objective, state)
            moved = advance(objective, state)
        if moved is None:
            return state._replace(rate=0.0)
        stale = is_stale(objective, moved, EIGENVECTORS)
        return with_direction(objective, renewed(objective, moved, rng) if stale else moved, tol)

    def goal(objective, state):
        fine = goal_of(objective, state.point, tol)
        return max(fine, state.excess) if settles and has_settled(objective, state, EIGENVECTORS) else fine

    return Method(start, step, "proximal quasi-Newton descent", L1Penalty, model, goal, counts_the_rest=True)


def model(objective, state):
    """The local model at the state's point; a step for an estimate is too rough to show whether classes separate.

    Where the descent has not solved for Newton's step, it is not at the minimum, and a solve for the proof is to cost
    no more than the descent.
    """
    if state.solved is not None and not free_of(objective.penalty, objective.shape[0] - 1)[:-1].any():
        return LocalModel(objective, state.point, state.solved)
    metric = l1_metric(objective, state.point, state.scores)
    metric = Limited(metric, objective.passes) if state.solved is None else metric
    return LocalModel(objective, state.point, metric)


def renewed(objective, state, rng):
    """The state with its metric made at its point; the secant pairs stay."""
    features, metric = state.features, state.metric
    if wants_gram(objective, state, EIGENVECTORS):
        features = with_gram(objective, features, rng)
    basis = Eigenbasis.of(features, objective.coupling_at(state.scores), metric and metric.basis)
    metric = SpectralMetric(basis) if metric is None else metric.with_basis(basis)
    return state._replace(features=features, metric=metric, made_at=state.loss)


def advance(objective, state):
    """The state after its step, still with the old direction; None where no rate lowers J."""
    point, direction, penalty = state.point, state.direction, objective.penalty
    theta, end = point.theta, point.theta + direction
    strengths = penalty.l1_strengths(theta.shape)
    promised = float(np.vdot(point.gradient, direction))
    promised += float(penalty.nonsmooth_value(end) - penalty.nonsmooth_value(theta))
    if not promised < 0:
        return None
    line = Line(objective, state.labels, state.scores, objective.score_changes(direction))

    def at(rate):
        here = end if rate == 1 else theta + rate * direction
        here[np.abs(here) <= ZERO_ROUNDING * np.abs(theta)] = 0.0  # a rate that rounds to 1 keeps the zeros of rate 1
        loss = line.loss(rate)
        smooth = loss.slope + float(np.vdot(penalty.gradient(here), direction))
        slope = slope_along(smooth, here, direction, strengths)
        return Trial(rate, loss.mean + penalty.value(here), slope, (here, loss))

    start = Trial(0.0, point.value, promised)
    trial = search(at, start, objective.resolution * abs(point.value))
    if trial is start:
        return None
    here, loss = trial.known
    z = line.scores_at(trial.rate)
    slope, last_slope = line.point(here, z, loss).gradient, point.gradient
    change_of_slope = slope - penalty.gradient(here) - (last_slope - penalty.gradient(theta))
    if change_of_slope.shape[1] > 1:  # the mean is rounding: a softmax has no curvature along it
        change_of_slope -= change_of_slope.mean(axis=1, keepdims=True)
    balanced = penalty.balanced(here)
    slope = slope + penalty.gradient(balanced) - penalty.gradient(here)
    return state._replace(
        point=Point(balanced, loss.mean + penalty.value(balanced), slope),
        rate=trial.rate,
        scores=z,
        loss=loss.mean,
        error=loss.error,
        metric=state.metric.with_steps([(here - theta, change_of_slope)]),
    )


def slope_along(smooth, theta, direction, strengths):
    """The slope of J along a direction: 0 where J rises both ways, at a kink; otherwise that of the smaller size.

    ``smooth`` is the slope of J without l1. Many coefficients reach 0 at a rate of 1, each with a kink. The slope ahead
    would make this rate seem too long, and a shorter one would keep none of the zeros.
    """
    between = smooth + float(np.vdot(strengths * np.sign(theta), direction))
    kink = float(np.vdot(strengths, np.where(theta == 0, np.abs(direction), 0.0)))
    return float(shrink(between, kink))


def with_direction(objective, state, tol):
    """The state with its next direction, and an estimate of the excess at its point."""
    point, values = state.point, (*state.values, state.point.value)
    direction, fall, metric = state.metric.step_and_fall(point, objective.penalty)
    excess = min(state.times * max(fall, left(state, values)), point.value)
    goal = goal_of(objective, point, tol)
    small = excess <= goal
    directed = state._replace(
        direction=direction, excess=excess, values=values, goal=goal, is_small=small, solved=None, metric=metric
    )
    solves = small and ends_if_small(objective, state, EIGENVECTORS)
    return verified(objective, directed) if solves or tries_newton(objective, state, values) else directed


def verified(objective, state):
    """The state with Newton's step and its estimate of the excess."""
    metric = l1_metric(objective, state.point, state.scores, state.excess)
    direction, fall = metric.step_and_fall(state.point, NEWTON_RESIDUAL)
    fall = min(fall, state.point.value)  # J is not negative
    tells = state.excess > objective.resolution * fall  # an estimate of 0 tells nothing of the other estimates
    times = max(state.times, state.times * fall / state.excess) if tells else state.times
    return state._replace(direction=direction, excess=fall, times=times, solved=Solved(direction, fall), is_small=False)
