"""Newton's method for several problems side by side: see ``several``.

Each problem steps in a metric M, and halves its step until Armijo's condition holds. Near the minimum the slopes at
both ends of a step tell how far J falls. M is the Hessian of the loss in the problem's own weighting, at a nearby
theta, plus the penalty's Hessian; the secant pairs of the steps improve M (L-BFGS). If a problem needs many more
steps in its metric, it gets the Hessian at its own theta. Problems that have arrived are left out of later passes.

A problem has arrived if its excess g^T M^-1 g / 2 is near the goal tol min(1, J), and so small that a step which
contracts the excess like the last step leaves a 10,000th of the goal. That step is taken without a pass at its end.
Problems of one weighting start in about the same metric. So the problem with the largest excess goes first, and shows
how much the first step of the others will leave, if they are near enough.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..penalty import ElasticNet
from ..quadratic.active_set import ActiveSetMetric
from ..quadratic.curvature import Cholesky
from ..quadratic.metric import L1Metric, NewtonMetric, without_shift
from ..several import Columns, Points, Several
from .armijo import ARMIJO

__all__ = ["Arrivals", "Metrics", "descend_side_by_side", "metric_of"]

MOST_STEPS = 40  # then ``solve`` takes over
MOST_OWN_HESSIANS = 6  # of one problem
FEW_OWN_HESSIANS = 2  # at a time: more take longer than the Hessians of all weightings at once
STEPS_PER_HESSIAN = 6  # if more steps are left to go, a Hessian costs less than the steps
PARAMETERS_PER_STEP = 40  # where there are many parameters, a Hessian costs more steps
NEAR_GOAL = 10.0  # excess / goal from which a good metric goes to the minimum in one step
# Excess after the last step / goal, if the step contracts like the one before. The error of theta is its root.
LAST_EXCESS = 1e-4
NEAR_MINIMUM = 1e-3  # excess / min(1, J) below which the slopes at both ends of a step tell that J falls


class Metrics:
    """The Hessian of the loss with which each problem starts, ``of(number)``, and Hessians at the problem's own thetas.

    ``shared`` are the last Hessians of all weightings that were made for several problems at once.
    """

    def __init__(self, several: Several, of: Callable[[int], np.ndarray]):
        self.several, self.of, self.shared = several, of, None

    def at_start(self, columns, point):
        """The metrics of all problems, which start at given points."""
        return [metric_of(self.several, self.of(m), columns.some(m)) for m in range(len(columns.weighting))]

    def own(self, columns, theta):
        """The metrics of some problems at their own thetas; of many problems, at the theta of one of them."""
        if len(theta) <= FEW_OWN_HESSIANS or not self.several.has_groups:
            hessians = [self.several.hessian(*each) for each in zip(theta, columns.weighting, strict=True)]
        else:
            self.shared = self.several.hessians(theta[len(theta) // 2])
            hessians = self.shared[columns.weighting]
        return [metric_of(self.several, hessian, columns.some(m)) for m, hessian in enumerate(hessians)]


def metric_of(several, hessian, column):
    """The metric of a Hessian of the loss and a problem's penalty: factorised or, with l1, solved by active sets."""
    hessian = hessian.copy()
    np.einsum("ii->i", hessian)[:] += column.curvature.ravel()
    if not column.strength.any():
        return NewtonMetric(Cholesky(without_shift(hessian, several.shape, slice(None))))
    penalty = ElasticNet(column.curvature[:-1, 0], column.strength[:-1, 0])
    if several.shape[1] > 1:
        return L1Metric(without_shift(hessian, several.shape, column.strength[:, 0] == 0), penalty)
    diagonal = np.einsum("ii->i", hessian)
    diagonal[diagonal == 0] = 1  # without an intercept
    return ActiveSetMetric(hessian, penalty)


class Arrivals(NamedTuple):
    """The ends of the problems: theta, the excess before the last step, the number of steps, and which have arrived.

    ``value`` is J where it was last computed, ``first`` the excess at the start, and ``metrics`` are the last metrics.
    """

    theta: np.ndarray
    excess: np.ndarray
    n_steps: np.ndarray
    arrived: np.ndarray
    value: np.ndarray
    first: np.ndarray
    metrics: list[Any]

    @classmethod
    def none(cls, running, metrics):
        """No problem has arrived: they are at their starts."""
        theta, value, _ = running.point
        infinite, zeros = np.full_like(value, np.inf), np.zeros(len(value), int)
        return cls(theta.copy(), infinite, zeros, zeros > 0, value.copy(), running.excess.copy(), metrics)


class Descents(NamedTuple):
    """The problems that have not arrived yet, as arrays with an entry for each.

    ``before`` is the excess before the last step, infinite if the last step was not taken.
    """

    number: np.ndarray
    columns: Columns
    point: Points
    direction: np.ndarray
    rate: np.ndarray
    excess: np.ndarray
    before: np.ndarray

    def some(self, index):
        """Some of the problems."""
        fields = (field.some(index) if isinstance(field, Columns | Points) else field[index] for field in self)
        return Descents(*fields)

    def copy(self):
        """A copy, for changes in place."""
        return self.some(np.arange(len(self.number)))


def descend_side_by_side(several: Several, columns: Columns, theta, start: Metrics, tol: float, value=None) -> Arrivals:
    """Minimise every problem, from its own theta. ``value``: about J of each, where the thetas are near the minima."""
    running, metrics = begin(several, columns, theta, start, value)
    found, n_own = Arrivals.none(running, metrics), np.zeros(len(theta), int)
    for step in range(MOST_STEPS):
        arrived, lost = has_arrived(several, running, tol), is_lost(several, running)
        if arrived.any() or lost.any():
            leave(found, running, arrived, step)
            running = running.some(~(arrived | lost))
        if not len(running.number):
            break
        going = np.arange(len(running.number)) if step else first_to_go(several, running, tol)
        running = advance(several, running, going, metrics)
        poorly = np.flatnonzero(contracts_poorly(several, running, tol) & (n_own[running.number] < MOST_OWN_HESSIANS))
        if len(poorly):
            some, number = running.some(poorly), running.number[poorly]
            for m, own in zip(number, start.own(some.columns, some.point.theta), strict=True):
                metrics[m] = own
            running.direction[poorly], running.excess[poorly] = steps_and_falls(metrics, number, some.point)
            n_own[number] += 1
    return found


def begin(several, columns, theta, start, value):
    """The problems at their start, and their metrics; a problem whose J overflows there is lost."""
    if value is not None:
        running, metrics = at_point(columns, Points(theta, value, several.gradients(theta, columns)), start)
        if is_near(running).all():
            return running, metrics
    return at_point(columns, several.at(theta, columns), start)


def at_point(columns, point, start):
    """The problems at a point, and their metrics."""
    metrics, numbers = start.at_start(columns, point), np.arange(len(point.value))
    direction, excess = steps_and_falls(metrics, numbers, point)
    ones = np.where(np.isfinite(point.value), 1.0, 0.0)
    return Descents(numbers, columns, point, direction, ones, excess, np.full(len(numbers), np.inf)), metrics


def is_near(running):
    """Which problems are so near to their minimum that J is about quadratic."""
    smooth = not running.columns.strength.any()
    return smooth & (running.excess <= NEAR_MINIMUM * np.minimum(running.point.value, 1))


def steps_and_falls(metrics, numbers, point):
    """The step of each problem to the minimum of its model, and how far the model falls."""
    direction, excess = np.empty_like(point.theta), np.empty(len(numbers))
    for m, number in enumerate(numbers):
        direction[m], excess[m] = metrics[number].step_and_fall(point.some(m))
    return direction, excess


def goals(several, point, tol):
    """The excess at which each problem may stop."""
    return max(tol, several.resolution) * np.clip(point.value, several.resolution, 1.0)


def contraction(running):
    """The share that the last step left of each problem's excess.

    For a problem without a step, it is the share of the problem of its weighting that went first: problems of a
    weighting that start together have about the same metric.
    """
    is_known = running.before < np.inf
    own = np.where(is_known, running.excess / np.where(is_known, running.before, 1), 0)
    of_weighting = np.zeros(running.columns.weighting.max() + 1)
    np.maximum.at(of_weighting, running.columns.weighting, own)
    others = of_weighting[running.columns.weighting]
    return np.where(is_known, own, np.where(others > 0, others, 1.0))


def has_arrived(several, running, tol):
    """Which problems have arrived: one more step, without a pass, ends at their minimum."""
    goal, excess = goals(several, running.point, tol), running.excess
    left = excess * np.minimum(contraction(running), 1)
    is_noise = excess <= several.resolution * np.maximum(running.point.value, several.resolution)
    return (running.rate == 1) & (excess <= NEAR_GOAL * goal) & (is_noise | (left <= LAST_EXCESS * goal))


def first_to_go(several, running, tol):
    """Which problems take the first step: those far from the goal, and of each weighting the one farthest away."""
    far, weighting = running.excess > NEAR_GOAL * goals(several, running.point, tol), running.columns.weighting
    order = np.lexsort((running.excess, weighting))
    far[order[np.append(np.diff(weighting[order]) > 0, True)]] = True
    return np.flatnonzero(far)


def is_lost(several, running):
    """Which problems have no step that lowers their J."""
    return ~(running.rate >= several.resolution) | ~np.isfinite(running.excess)


def contracts_poorly(several, running, tol):
    """Which problems have more steps to go in their metric than a Hessian of their own is worth."""
    known = (np.maximum(running.before, running.excess) < np.inf) & (np.minimum(running.before, running.excess) > 0)
    stepped = np.flatnonzero(known & ~has_arrived(several, running, tol))
    poorly, some = np.zeros(len(running.number), dtype=bool), running.some(stepped)
    gained = np.log(some.before) - np.log(some.excess)
    wanted = np.log(some.excess / (LAST_EXCESS * goals(several, some.point, tol)))
    worth = max(STEPS_PER_HESSIAN, np.prod(several.shape) / PARAMETERS_PER_STEP)
    poorly[stepped] = wanted > worth * gained
    return poorly


def advance(several, running, going, metrics):
    """One pass: the problems in ``going`` try their steps; a step is taken if J falls enough, and halved otherwise."""
    some = running.some(going)
    step = some.rate[:, None, None] * some.direction
    trial, is_good = tried(several, some, step)
    taken = np.flatnonzero(is_good)
    for m in taken:
        number = some.number[m]
        metrics[number] = metrics[number].updated(step[m], trial.gradient[m] - some.point.gradient[m])
    new, of = running.copy(), going[taken]
    for part, of_trial in zip(new.point, trial, strict=True):
        part[of] = of_trial[taken]
    new.rate[going] /= 2
    new.rate[of] = 1.0
    new.before[:] = np.inf
    new.before[of] = running.excess[of]
    new.direction[of], new.excess[of] = steps_and_falls(metrics, running.number[of], new.point.some(of))
    return new


def tried(several, running, step):
    """The points at the ends of steps, and whether each step is good enough: whether J, or its slope, falls enough.

    Near the minimum J is about quadratic, so a step changes J by the mean of the slopes at both ends, and no J is
    computed.
    """
    theta, point = running.point.theta + step, running.point
    if not is_near(running).all():
        trial = several.at(theta, running.columns)
        return trial, falls_enough(several, running, trial)
    trial = Points(theta, point.value, several.gradients(theta, running.columns))
    before, after = (np.einsum("mjc,mjc->m", at.gradient, step) for at in (point, trial))
    return trial, 0.5 * (before + after) <= ARMIJO * before + several.resolution * np.abs(point.value)


def falls_enough(several, running, trial):
    """Whether Armijo's condition holds at the end of each step that was tried."""
    value, theta, nonsmooth = running.point.value, running.point.theta, running.columns.nonsmooth_values
    slope = np.einsum("mjc,mjc->m", running.point.gradient, running.direction)
    slope += nonsmooth(theta + running.direction) - nonsmooth(theta)
    return trial.value <= value + ARMIJO * running.rate * slope + several.resolution * np.abs(value)


def leave(found, running, arrived, step):
    """Record the ends of the problems that have arrived, with their last step."""
    some = running.some(arrived)
    found.theta[some.number], found.value[some.number] = some.point.theta + some.direction, some.point.value
    found.excess[some.number], found.n_steps[some.number], found.arrived[some.number] = some.excess, step + 1, True
