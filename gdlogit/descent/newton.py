"""Descent in the metric of a sketched Hessian: the default method.

    theta := theta - alpha M^-1 dJ(theta),    M ~ Hessian of J

Every gradient is exact, over all rows; only the metric M is approximate. Gradient descent has M = I, and is slow where
features are badly scaled or correlated. Newton's method has the Hessian as M, and neither scale nor correlation matters
to it, but the Hessian of all rows costs many passes. A sample of rows gives nearly the same M for a part of the cost:

1. *Warm start*. Minimise J on nested random samples, each four times as large as the sample before and from its
   solution. Each minimisation ends at the sampling error of its sample, about P / m for P parameters and m rows.
2. *Descend* over all rows in the metric of the largest sample, improved by the secant pairs of the steps taken (L-BFGS,
   with M^-1 as its first matrix). alpha = 1, halved until J falls enough (Armijo). With an l1 penalty, the step goes to
   the minimum of the quadratic model plus the penalty (proximal Newton), and BFGS improves M itself: see ``metric``.
3. *Refresh*. Where the steps contract the excess so slowly that a Hessian of all rows would save more passes than it
   costs, make that Hessian. On few rows every step makes one: plain Newton. A sample may miss a heavy-tailed feature;
   then the refresh rescues the descent.

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
from ..quadratic.l1_metric import L1Metric
from ..quadratic.metric import LocalModel, NewtonMetric, formed_metric, metric_of
from ..quadratic.sampled import SAMPLE_ROWS_PER_PARAMETER
from .armijo import line_search
from .loop import Method, goal_of

__all__ = ["sketch"]

SAMPLE_GROWTH = 4  # rows of a sample / rows of the sample before
TINY_SIZE = 30_000  # rows x parameters: below, a Hessian costs no more than the calls that compute it
LEAST_SAMPLED_RATE = 1 / 8  # a smaller rate shows that the sample has missed a rare or heavy-tailed feature
SAMPLE_ACCURACY = 0.05  # excess / sampling error: where the descent on a sample ends
MOST_CONTRACTIONS = 4  # most steps over which the mean contraction is taken
MOST_SAMPLE_STEPS = 50  # J has no minimum on a sample with a single class: its descent must end, too


class Provenance(NamedTuple):
    """Where a metric comes from: from a sample of the rows, or from all rows at a point with some excess of J.

    The point is None and the excess infinite where a sample made the metric.
    """

    sampled: bool
    excess: float
    point: Point | None


class NewtonState(NamedTuple):
    """theta; the metric and its provenance; the next step's direction; the largest sample of rows, if there is one."""

    point: Point
    excess: float
    rate: float
    metric: NewtonMetric | L1Metric
    provenance: Provenance
    direction: np.ndarray
    sample: Objective | None
    excesses: tuple[float, ...] = ()  # at the points before, since the metric was made


def sketch(tol, rng):
    """Newton's method with exact gradients and the Hessian of a sample, for a goal of tol."""

    def start(objective, theta):
        cold, metric, sample = not theta.any(), None, None
        for sample in samples(objective, rng):  # noqa: B007
            theta, metric = minimise(sample, theta, metric) if cold else (theta, formed_metric(sample, theta))
        return begin(objective, theta, metric, sample)

    def goal(objective, point):
        return goal_of(objective, point, tol)

    return Method(start, partial(advance, goal), "newton-sketch", L1Penalty, model)


def model(objective, state):
    """The local model at the state's point, with the state's metric if all rows at this point have made it."""
    if state.provenance.point is state.point:
        return LocalModel(objective, state.point, state.metric, state.sample)
    rough = state.metric if isinstance(state.metric, NewtonMetric) else None
    return LocalModel(objective, state.point, None, state.sample, rough)


def samples(objective, rng):
    """The objective on nested random samples of its rows, from small to large."""
    smallest = max(500, SAMPLE_ROWS_PER_PARAMETER * objective.n_parameters)
    sizes, size = [], objective.sample_size
    while size >= smallest:
        sizes.append(size)
        size //= SAMPLE_GROWTH
    if sizes:
        largest = objective.on(at_random(sizes[0], objective.n_rows, rng))
        for size in reversed(sizes[1:]):  # taken from the largest sample: taking rows out of batches costs a pass
            yield largest.on(at_random(size, largest.n_rows, rng))
        yield largest


def minimise(sample, theta, metric):
    """Theta at the minimum on a sample, to a share of the sampling error, and the metric of the sample there.

    The last step is small, so no line search tests it. A metric that was made within the sampling error of the minimum
    is as good as one made at the minimum.
    """
    error = sample.n_parameters / sample.n_rows
    enough = SAMPLE_ACCURACY * error
    state = begin(sample, theta, metric)
    for _ in range(MOST_SAMPLE_STEPS):
        if state.excess <= enough or state.rate == 0:
            break
        state = advance(lambda *_: enough, sample, state)
    converged = state.excess <= enough
    theta = sample.without_constants(state.point.theta + state.direction if converged else state.point.theta)
    is_near = converged and state.provenance.excess <= error
    return theta, state.metric if is_near else formed_metric(sample, theta)


def begin(objective, theta, metric, sample=None):
    """The state at theta with the metric of a sample; without one, all rows make the metric here."""
    point = objective.at(theta)
    if metric is None:
        return refresh(objective, point, 1.0, sample)
    return state_at(point, metric, 1.0, sample, Provenance(sampled=True, excess=inf, point=None))


def state_at(point, metric, rate, sample, provenance=None):
    """The state whose next step goes to the minimum of the metric's model.

    Without a provenance, all rows at this point have made the metric.
    """
    direction, excess = metric.step_and_fall(point)
    provenance = provenance or Provenance(sampled=False, excess=excess, point=point)
    return NewtonState(point, excess, rate, metric, provenance, direction, sample)


def advance(goal, objective, state):
    """One step, and a new metric where the old one contracts the excess too slowly; ``goal`` is a function of a point.

    A step in the metric of a sample is not shortened below ``LEAST_SAMPLED_RATE``: all rows make a new metric instead.
    """

    def along(direction):
        return lambda rate: objective.at(state.point.theta + rate * direction)

    sampled, direction = state.provenance.sampled, state.direction
    least_rate = LEAST_SAMPLED_RATE if sampled else 0.0
    point, rate = line_search(objective, state.point, direction, along(direction), least_rate)
    if rate == 0 and sampled:
        return refresh(objective, state.point, 1.0, state.sample)
    is_lost = rate == 0 and state.point.value < state.excess  # the model's minimum is negative, as J cannot be
    if is_lost:
        direction = direction_at_zero(objective, state.point)
        point, rate = line_search(objective, state.point, direction, along(direction))
    if rate == 0:
        return state._replace(rate=0.0)
    if is_tiny(objective) or is_lost:
        return refresh(objective, point, rate, state.sample)
    ds, dg = point.theta - state.point.theta, point.gradient - state.point.gradient
    new = state_at(point, state.metric.updated(ds, dg), rate, state.sample, state.provenance)
    new = new._replace(excesses=(*state.excesses, state.excess))
    return refresh(objective, point, rate, state.sample) if is_slow(objective, new, goal(objective, point)) else new


def is_slow(objective, state, goal):
    """Whether a Hessian costs less than the steps that are left, or has cost less than those since the last one.

    Where the excess is within the goal, but falls little, the metric may be blind to the rest of the excess.
    """
    most = 1 + hessian_cost(objective)
    creeps = state.excess > goal * (1 - share(state.excess, state.excesses[-1]))
    return (creeps and len(state.excesses) > most) or (state.excess > goal and steps_left(state, goal) > most)


def refresh(objective, point, rate, sample):
    """The same point in the metric of all rows."""
    return state_at(point, formed_metric(objective, point.theta), rate, sample)


def direction_at_zero(objective, point):
    """The step in the metric at scores of 0, for a point at which the Hessian is no model of J.

    Up to a factor of the number of classes, no loss has more curvature than at scores of 0 (Boehning and Lindsay). So
    this step leads back from a point at which rows are far on the wrong side and have no curvature left.
    """
    hessian = objective.hessian_of_shared(np.zeros((1, objective.shape[1])))
    direction, _ = metric_of(objective, hessian).step_and_fall(point)
    return direction


def steps_left(state, goal):
    """How many more steps bring the excess to the goal, if each leaves the same share of the excess.

    A single estimate may be far off. So the share is the smaller of two: that which the last step has left, and that
    which a mean step of the last few has left.
    """
    if state.rate != 1:
        return inf
    *_, last = recent = state.excesses[-MOST_CONTRACTIONS:]
    first, n = recent[0], len(recent)
    contraction = min(share(state.excess, last), share(state.excess, first) ** (1 / n))
    return log(state.excess / goal) / -log(contraction) if contraction < 1 else inf


def share(excess, before):
    """An excess as a share of the one before; infinite where nothing is known of that."""
    return excess / before if 0 < before < inf else inf


def hessian_cost(objective):
    """The cost of a Hessian of all rows, in passes.

    Measured with one score 2.3 for 11 parameters, 5 for 109, 18 for 442; with several 27 for 385 parameters, 47 for
    442, 63 for 610, 90 for 1,220.
    """
    return 2 + (0.035 if objective.shape[1] == 1 else 0.075) * objective.n_parameters


def is_tiny(objective):
    """Whether a Hessian costs no more than the calls that compute it, so that every step makes a new one."""
    return objective.n_counted * objective.n_parameters <= TINY_SIZE
