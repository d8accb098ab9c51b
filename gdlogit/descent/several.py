"""Newton's method for several problems side by side: see ``several``.

Each problem steps in a metric M, and halves its step until Armijo's condition holds. Near the minimum the slopes at
both ends of a step tell how far J falls. M is the Hessian of the loss in the problem's own weighting, at a nearby
theta, plus the penalty's Hessian; the secant pairs of the steps improve M (L-BFGS). If a problem needs many more
steps in its metric, it gets the Hessian at its own theta. Problems that have arrived are left out of later passes.

A problem has arrived if its excess g^T M^-1 g / 2 is near the goal tol min(1, J), and so small that a step which
contracts the excess like the last step leaves a 10,000th of the goal. That step is taken without a pass at its end.
Where J hardly changes, the excess does not tell how far theta is from the minimum. So the length of that step must be
small, too: the length is the largest change of a coefficient, times its feature's spread.
Problems of one family, such as those of one weighting, start in about the same metric. So the problem with the largest
excess goes first, and shows how much the first step of the others will leave, if they are near enough.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..penalty import ElasticNet
from ..quadratic.active_set import ActiveSets, RowSets
from ..quadratic.curvature import Cholesky, without_shift
from ..quadratic.l1_metric import L1Metric
from ..quadratic.metric import NewtonMetric
from ..several import Columns, Points, Several
from .armijo import ARMIJO

__all__ = ["Arrivals", "Metrics", "RowMetrics", "descend_side_by_side", "metric_of"]

MOST_SHARED_STEPS = 40  # then ``solve`` takes over
MOST_OWN_HESSIANS = 6  # of one problem
FEW_OWN_HESSIANS = 2  # at a time: more take longer than the Hessians of all weightings at once
STEPS_PER_HESSIAN = 6  # if more steps are left to go, a Hessian costs less than the steps
PARAMETERS_PER_STEP = 40  # where there are many parameters, a Hessian costs more steps
NEAR_GOAL = 10.0  # excess / goal from which a good metric goes to the minimum in one step
# Excess after the last step / goal, if the step contracts like the one before. The error of theta is its root.
LAST_EXCESS = 1e-4
# From so many steps on, the next step's length is the error: on spambase 4 of 500 fits were beyond 1e-5 without it.
SEVERAL_STEPS = 3
STANDSTILL = 0.3  # ratio of two steps, beyond which rounding decides where theta is if J no longer changes
NEAR_MINIMUM = 1e-3  # excess / min(1, J) below which the slopes at both ends of a step tell that J falls


class Metrics:
    """The Hessian of the loss with which each problem starts, ``of(number)``, and Hessians at the problem's own thetas.

    ``shared`` are the last Hessians of all weightings that were made for several problems at once.
    """

    def __init__(self, several: Several, of: Callable[[int], np.ndarray]):
        self.several, self.of, self.shared = several, of, None

    def at_start(self, columns, point):
        """The metrics of all problems, which start at given points."""
        return metrics_of([self.of(m) for m in range(len(columns.weighting))], columns)

    def own(self, columns, theta):
        """The Hessians of some problems at their own thetas; of many problems, at the theta of one of them."""
        if len(theta) <= FEW_OWN_HESSIANS or not self.several.has_groups:
            return [self.several.hessian(*each) for each in zip(theta, columns.weighting, strict=True)]
        self.shared = [*self.several.hessians(theta[len(theta) // 2])]
        return [self.shared[f] for f in columns.weighting]


class RowMetrics(Metrics):
    """The Hessian of each problem with l1 and one score at every theta that it comes to, by few rows."""

    def __init__(self, several):
        super().__init__(several, lambda _: None)

    def at_start(self, columns, point):
        """The metrics of all problems."""
        several = self.several
        return RowSets(several.filled(), several.curvatures, several.shares, columns)

    def own(self, columns, theta):
        """Nothing: the metrics are the Hessians already."""
        return [None] * len(theta)


class Each(list[Any]):
    """A metric for each problem."""

    def steps_and_falls(self, numbers, point):
        """The step of each numbered problem to the minimum of its model, and how far the model falls."""
        found = [self[number].step_and_fall(point.some(m)) for m, number in enumerate(numbers)]
        return np.reshape([step for step, _ in found], point.theta.shape), np.array([fall for _, fall in found])

    def update(self, numbers, ds, dg):
        """Improve metrics by the secant pairs of steps."""
        for number, *pair in zip(numbers, ds, dg, strict=True):
            self[number] = self[number].updated(*pair)

    def replace(self, numbers, hessians, columns):
        """Let problems have other Hessians."""
        for m, (number, hessian) in enumerate(zip(numbers, hessians, strict=True)):
            self[number] = metric_of(hessian, columns.some(m))


def metrics_of(hessians, columns):
    """The metrics of problems with given Hessians of the loss: with l1 and one score, all are solved side by side."""
    if columns.strength.any() and columns.strength.shape[-1] == 1:
        return ActiveSets(hessians, columns)
    return Each(metric_of(hessian, columns.some(m)) for m, hessian in enumerate(hessians))


def metric_of(hessian, column):
    """The metric of a Hessian of the loss and a problem's penalty, smooth or of several scores."""
    hessian, shape = hessian.copy(), column.curvature.shape
    np.einsum("ii->i", hessian)[:] += column.curvature.ravel()
    if not column.strength.any():
        return NewtonMetric(Cholesky(without_shift(hessian, shape, slice(None))))
    penalty = ElasticNet(column.curvature[:-1, 0], column.strength[:-1, 0])
    return L1Metric(without_shift(hessian, shape, column.strength[:, 0] == 0), penalty)


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
    metrics: Any

    @classmethod
    def none(cls, running, metrics):
        """No problem has arrived: they are at their starts."""
        theta, value, _ = running.point
        infinite, zeros = np.full_like(value, np.inf), np.zeros(len(value), int)
        return cls(theta.copy(), infinite, zeros, zeros > 0, value.copy(), running.excess.copy(), metrics)

    def some(self, span):
        """Those of a slice of the problems."""
        return Arrivals(*(part[span] for part in self))


class Accuracy(NamedTuple):
    """What is asked of an end: an excess of at most ``tol`` min(1, J), and coefficients to within an ``error``.

    The error is that of a coefficient times its feature's spread.
    """

    tol: float
    error: float


class Descents(NamedTuple):
    """The problems that have not arrived yet, as arrays with an entry for each.

    ``family``: problems of a family start together in about the same metric.
    ``length`` is the length of the step that comes next: see ``Several.lengths``. ``before`` is the excess before the
    last step and ``last_length`` the length of that step; both are infinite if the last step was not taken.
    """

    number: np.ndarray
    family: np.ndarray
    columns: Columns
    point: Points
    direction: np.ndarray
    rate: np.ndarray
    excess: np.ndarray
    before: np.ndarray
    length: np.ndarray
    last_length: np.ndarray

    def some(self, index):
        """Some of the problems."""
        fields = (field.some(index) if isinstance(field, Columns | Points) else field[index] for field in self)
        return Descents(*fields)

    def copy(self):
        """A copy, for changes in place."""
        return self.some(np.arange(len(self.number)))


def descend_side_by_side(
    several: Several,
    columns: Columns,
    theta,
    start: Metrics,
    tol: float,
    value=None,
    error: float = np.inf,
    family=None,
) -> Arrivals:
    """Minimise every problem, from its own theta, to an ``Accuracy``.

    ``value``: about J of each problem, where the thetas are near the minima; nan where J is not known.
    ``family``: the number of each problem's family, see ``Descents``; by default that of its weighting.
    """
    wanted = Accuracy(max(tol, several.resolution), error)
    value = np.full(len(theta), np.nan) if value is None else value
    family = columns.weighting if family is None else family
    running, metrics = begin(several, columns, theta, start, value, family)
    found, n_own = Arrivals.none(running, metrics), np.zeros(len(theta), int)
    for step in range(MOST_SHARED_STEPS):
        arrived, lost = has_arrived(several, running, wanted, step), is_lost(several, running)
        if arrived.any() or lost.any():
            leave(found, running, arrived, step)
            running = running.some(~(arrived | lost))
        if not len(running.number):
            break
        going = np.arange(len(running.number)) if step else first_to_go(several, running, wanted)
        running = advance(several, running, going, metrics)
        poorly = np.flatnonzero(
            contracts_poorly(several, running, wanted, step + 1) & (n_own[running.number] < MOST_OWN_HESSIANS)
        )
        if len(poorly):
            some, number = running.some(poorly), running.number[poorly]
            metrics.replace(number, start.own(some.columns, some.point.theta), some.columns)
            running.direction[poorly], running.excess[poorly] = metrics.steps_and_falls(number, some.point)
            running.length[poorly] = several.lengths(running.direction[poorly])
            n_own[number] += 1
    return found


def begin(several, columns, theta, start, value, family):
    """The problems at their start, and their metrics; a problem whose J overflows there is lost."""
    unknown = np.isnan(value)
    point = evaluated(several, columns, theta, value, unknown)
    metrics, numbers = start.at_start(columns, point), np.arange(len(value))
    direction, excess = metrics.steps_and_falls(numbers, point)
    infinite, length, ones = np.full(len(value), np.inf), several.lengths(direction), np.ones(len(value))
    running = Descents(numbers, family, columns, point, direction, ones, excess, infinite, length, infinite.copy())
    far = ~unknown & ~is_near(running)
    if far.any():
        point.value[far] = several.at(theta[far], columns.some(far)).value
    ones[~np.isfinite(point.value)] = 0
    return running, metrics


def evaluated(several, columns, theta, value, unknown):
    """The points at some thetas, with J where it is unknown, and with the given value, about J, elsewhere."""
    point = Points(theta, value.copy(), np.empty_like(theta))
    if unknown.any():
        _, point.value[unknown], point.gradient[unknown] = several.at(theta[unknown], columns.some(unknown))
    if not unknown.all():
        point.gradient[~unknown] = several.gradients(theta[~unknown], columns.some(~unknown))
    return point


def is_near(running):
    """Which problems are so near to their minimum that J is about quadratic."""
    smooth = not running.columns.strength.any()
    return smooth & (running.excess <= NEAR_MINIMUM * np.minimum(running.point.value, 1))


def goals(several, point, wanted):
    """The excess at which each problem may stop."""
    return wanted.tol * np.clip(point.value, several.resolution, 1.0)


def contraction(running, now, before):
    """The share that the last step left of a size ``before`` it: of the excess, or of the step.

    For a problem without a step, it is the share of the problem of its family that went first.
    """
    is_known = before < np.inf
    own = np.where(is_known, np.divide(now, before, out=np.ones_like(now), where=now < before), 0)
    of_family = np.zeros(running.family.max() + 1)
    np.maximum.at(of_family, running.family, own)
    others = of_family[running.family]
    return np.minimum(np.where(is_known, own, np.where(others > 0, others, 1.0)), 1.0)


def has_arrived(several, running, wanted, step):
    """Which problems have arrived: one more step, without a pass, ends at their minimum.

    That step may leave more of its length than the last step: along some directions the metric may be poorer than
    along those of the last step. The root of the last ratio allows for this. A problem that takes many steps has such a
    poor metric that its last step itself must be short.
    """
    goal, excess = goals(several, running.point, wanted), running.excess
    left = excess * contraction(running, excess, running.before)
    share = np.sqrt(contraction(running, running.length, running.last_length)) if step < SEVERAL_STEPS else 1.0
    error = running.length * share
    is_noise = excess <= several.resolution * np.maximum(running.point.value, several.resolution)
    stands_still = is_noise & (running.length > STANDSTILL * running.last_length)
    is_known = (is_noise | (left <= LAST_EXCESS * goal)) & (error <= wanted.error)
    return (running.rate == 1) & (excess <= NEAR_GOAL * goal) & (stands_still | is_known)


def first_to_go(several, running, wanted):
    """Which problems take the first step: those far from the goal, and of each family the one farthest away."""
    far, family = running.excess > NEAR_GOAL * goals(several, running.point, wanted), running.family
    order = np.lexsort((running.excess, family))
    far[order[np.append(np.diff(family[order]) > 0, True)]] = True
    return np.flatnonzero(far)


def is_lost(several, running):
    """Which problems have no step that lowers their J."""
    return ~(running.rate >= several.resolution) | ~np.isfinite(running.excess)


def contracts_poorly(several, running, wanted, step):
    """Which problems have more steps to go in their metric than a Hessian of their own is worth."""
    known = (np.maximum(running.before, running.excess) < np.inf) & (np.minimum(running.before, running.excess) > 0)
    stepped = np.flatnonzero(known & ~has_arrived(several, running, wanted, step))
    poorly, some = np.zeros(len(running.number), dtype=bool), running.some(stepped)
    to_go = (
        np.log(some.excess) - np.log(LAST_EXCESS * goals(several, some.point, wanted)),
        np.log(some.length) - np.log(wanted.error),
    )
    gained = np.log(some.before) - np.log(some.excess), np.log(some.last_length) - np.log(some.length)
    worth = max(STEPS_PER_HESSIAN, np.prod(several.shape) / PARAMETERS_PER_STEP)
    poorly[stepped] = (to_go[0] > worth * gained[0]) | (to_go[1] > worth * gained[1])
    return poorly


def advance(several, running, going, metrics):
    """One pass: the problems in ``going`` try their steps; a step is taken if J falls enough, and halved otherwise."""
    some = running.some(going)
    step = some.rate[:, None, None] * some.direction
    trial, is_good = tried(several, some, step)
    taken = np.flatnonzero(is_good)
    metrics.update(some.number[taken], step[taken], trial.gradient[taken] - some.point.gradient[taken])
    new, of = running.copy(), going[taken]
    for part, of_trial in zip(new.point, trial, strict=True):
        part[of] = of_trial[taken]
    new.rate[going] /= 2
    new.rate[of] = 1.0
    new.before[:] = np.inf
    new.before[of] = running.excess[of]
    new.direction[of], new.excess[of] = metrics.steps_and_falls(running.number[of], new.point.some(of))
    new.length[of] = several.lengths(new.direction[of])
    new.last_length[:] = np.inf
    new.last_length[of] = running.length[of]
    return new


def tried(several, running, step):
    """The points at the ends of steps, and whether each step is good enough: whether J, or its slope, falls enough.

    Near the minimum J is about quadratic, so a step changes J by the mean of the slopes at both ends, and no J is
    computed. A larger change tells that the step did not begin near the minimum: the metric has deceived.
    """
    near, value, theta = is_near(running), running.point.value, running.point.theta + step
    trial = evaluated(several, running.columns, theta, value, ~near)
    with np.errstate(over="ignore", invalid="ignore"):  # far from the minimum a step may lead anywhere
        before, after = (np.einsum("mjc,mjc->m", at.gradient, step) for at in (running.point, trial))
        change = 0.5 * (before + after)
        far = near & ~(np.abs(change) <= NEAR_MINIMUM * np.minimum(value, 1))
    if far.any():
        trial.value[far] = several.at(theta[far], running.columns.some(far)).value
    near &= ~far
    trial.value[near] += change[near]
    is_good = change <= ARMIJO * before + several.resolution * np.abs(value)
    return trial, np.where(near, is_good, falls_enough(several, running, trial))


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
