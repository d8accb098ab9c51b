"""Descent in the metric of a sketched Hessian: the default method.

    theta := theta - alpha M^-1 dJ(theta),    M ~ Hessian of J

Every gradient is exact, over all rows; only the metric M is approximate. Gradient descent has M = I and creeps along
badly scaled, correlated features; with M the Hessian it is Newton's method, blind to scale and correlation, but the
Hessian of all rows costs many passes. A sample of rows gives nearly the same M for a fraction:

1. *Warm start*. Minimise J on nested random samples, each four times the last, from the solution before; each only to
   the error that its own sampling makes, about P / m for P parameters and m rows.
2. *Descend* over all rows in the metric of the largest sample, improved by the secant pairs of the steps taken (L-BFGS,
   with M^-1 as its first matrix). alpha = 1, halved until J falls enough (Armijo). With an l1 penalty the step goes to
   the minimum of the model with it (proximal Newton), and BFGS improves M itself: see ``metric``.
3. *Refresh*. Where the steps contract the excess so slowly that a Hessian of all rows would pay for itself, take it.
   On few rows that is at once: plain Newton. On heavy-tailed features, which a sample misses, it is the safe way out.

References
----------
Boehning and Lindsay, "Monotonicity of quadratic-approximation algorithms", Annals of the Institute of Statistical
Mathematics 40 (1988).
Roosta-Khorasani and Mahoney, "Sub-sampled Newton methods", Mathematical Programming 174 (2019).
Mokhtari et al., "Adaptive Newton method for empirical risk minimization", NeurIPS 2016 (nested samples).
Nocedal and Wright, "Numerical Optimization" (2006), sections 3.1 (Armijo) and 7.2 (L-BFGS).
"""

from functools import partial
from math import inf, log
from typing import NamedTuple

import numpy as np

from ..objective import Objective, Point, at_random
from ..penalty import L1Penalty
from ..quadratic.metric import L1Metric, LocalModel, NewtonMetric, formed_metric, metric_of
from .armijo import line_search
from .loop import Method, target

__all__ = ["sketch"]

SAMPLE_GROWTH = 4  # of each sample over the last
SAMPLE_ROWS_PER_PARAMETER = 10  # in the smallest sample
TINY_SIZE = 30_000  # rows times parameters
LEAST_SAMPLED_RATE = 1 / 8  # below it, the sample has missed what curbs the step: some rare or heavy-tailed feature
SAMPLE_ACCURACY = 0.05  # of its sampling error: where the descent on a sample ends
# At most, on one sample: one without a minimum, say of a single class, shall not hold up the rest.
MOST_SAMPLE_STEPS = 50


class Provenance(NamedTuple):
    """Where a metric comes from: a sample of the rows, or all of them at a point; the excess of J there.

    The point is None, and the excess infinite, where other rows made the metric than those of the descent.
    """

    sampled: bool
    excess: float
    point: Point | None


class NewtonState(NamedTuple):
    """theta; the metric and where it comes from; the step to take next; the largest sample of rows, if there is one."""

    point: Point
    excess: float
    rate: float
    metric: NewtonMetric | L1Metric
    provenance: Provenance
    direction: np.ndarray
    sample: Objective | None


def sketch(tol, rng):
    """Newton's method with exact gradients and the Hessian of a sample, for a goal of tol."""

    def start(objective, theta):
        cold, metric, sample = not theta.any(), None, None
        for sample in samples(objective, rng):  # noqa: B007
            theta, metric = minimise(sample, theta, metric) if cold else (theta, formed_metric(sample, theta))
        return begin(objective, theta, metric, sample)

    def goal(objective, point):
        return target(objective, point, tol)

    return Method(start, partial(advance, goal), "newton-sketch", L1Penalty, model)


def model(objective, state):
    """The local model at the state's point; its metric is the state's own where all rows have made that there."""
    metric = state.metric if state.provenance.point is state.point else None
    return LocalModel(objective, state.point, metric, state.sample)


def samples(objective, rng):
    """The objective on nested random samples of its rows, from small to large."""
    smallest = max(500, SAMPLE_ROWS_PER_PARAMETER * objective.n_parameters)
    sizes = []
    size = min(objective.n_rows // SAMPLE_GROWTH, objective.largest_sample)
    while size >= smallest:
        sizes.append(size)
        size //= SAMPLE_GROWTH
    if sizes:
        largest = objective.on(at_random(sizes[0], objective.n_rows, rng))
        for size in reversed(sizes[1:]):  # taken from the largest: rows in batches take a pass to get at
            yield largest.on(at_random(size, largest.n_rows, rng))
        yield largest


def minimise(sample, theta, metric):
    """Theta at the minimum on a sample, to a part of its sampling error, and the metric of the sample there.

    The last step is small, and not checked; a metric made within the sampling error of the minimum is as good there.
    """
    error = sample.n_parameters / sample.n_rows
    enough = SAMPLE_ACCURACY * error
    state = begin(sample, theta, metric)
    for _ in range(MOST_SAMPLE_STEPS):
        if state.excess <= enough or state.rate == 0:
            break
        state = advance(lambda *_: enough, sample, state)
    settled = state.excess <= enough
    theta = sample.without_constants(state.point.theta + state.direction if settled else state.point.theta)
    is_near = settled and state.provenance.excess <= error
    return theta, state.metric if is_near else formed_metric(sample, theta)


def begin(objective, theta, metric, sample=None):
    """The state at theta; the metric is that of a sample, or is made here from all rows."""
    point = objective.at(theta)
    if metric is None:
        return refresh(objective, point, 1.0, sample)
    return aim(point, metric, 1.0, sample, Provenance(sampled=True, excess=inf, point=None))


def aim(point, metric, rate, sample, provenance=None):
    """The state whose next step goes to the minimum of the metric's model; all rows make it here, unless told."""
    direction, excess = metric.aim(point)
    provenance = provenance or Provenance(sampled=False, excess=excess, point=point)
    return NewtonState(point, excess, rate, metric, provenance, direction, sample)


def advance(goal, objective, state):
    """One step, and a new metric where the old one contracts too slowly to reach the goal, that of a point."""

    def along(direction):
        return lambda rate: objective.at(state.point.theta + rate * direction)

    sampled, direction = state.provenance.sampled, state.direction
    least = LEAST_SAMPLED_RATE if sampled else 0.0
    point, rate = line_search(objective, state.point, direction, along(direction), least)
    if rate == 0 and sampled:
        return refresh(objective, state.point, 1.0, state.sample)
    is_lost = rate == 0 and state.point.value < state.excess  # the model would have J fall by more than there is
    if is_lost:
        direction = direction_at_zero(objective, state.point)
        point, rate = line_search(objective, state.point, direction, along(direction))
    if rate == 0:
        return state._replace(rate=0.0)
    if is_tiny(objective) or is_lost:
        return refresh(objective, point, rate, state.sample)
    ds, dg = point.theta - state.point.theta, point.gradient - state.point.gradient
    new = aim(point, state.metric.updated(ds, dg), rate, state.sample, state.provenance)
    enough = goal(objective, state.point)
    slow = new.excess > enough and steps_left(state.excess, new, enough) > 1 + hessian_cost(objective)
    return refresh(objective, point, rate, state.sample) if slow else new


def refresh(objective, point, rate, sample):
    """The same point in the metric of all rows."""
    return aim(point, formed_metric(objective, point.theta), rate, sample)


def direction_at_zero(objective, point):
    """The step in the metric at scores of 0, where that at the point is no model of J.

    No loss has more curvature than at 0, but for a factor of the classes' number (Boehning and Lindsay), so that step
    leads back from where rows are far on the wrong side and have no curvature left.
    """
    theta, shared = np.zeros_like(point.theta), np.zeros((1, objective.shape[1]))
    direction, _ = metric_of(objective, objective.hessian_of_shared(theta, shared)).aim(point)
    return direction


def steps_left(last_excess, state, goal):
    """How many more steps bring the excess to the goal, if each contracts it as the last one did."""
    contraction = state.excess / last_excess if state.rate == 1 and 0 < last_excess < inf else inf
    return log(state.excess / goal) / -log(contraction) if contraction < 1 else inf


def hessian_cost(objective):
    """What a Hessian of all rows costs, in passes: measured 2.3 for 11 parameters, 5 for 109, 18 for 442."""
    return 2 + 0.035 * objective.n_parameters


def is_tiny(objective):
    """Whether a Hessian costs no more than the calls that compute it: then every step has a new one."""
    return objective.n_counted * objective.n_parameters <= TINY_SIZE
