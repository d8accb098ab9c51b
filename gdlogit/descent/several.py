"""Newton's method for several problems side by side: see ``several``.

Every step of every problem goes in the metric M of a Hessian and is halved until Armijo's condition holds for that
problem. M is the Hessian of the problem's own weighting, taken at a theta nearby which all weightings share, so that
one pass makes all of them; to it comes the penalty of the problem. Where the steps of a problem contract its excess
poorly, the problem gets the Hessian at its own theta. Problems that have arrived are left out of later passes.

A problem has arrived where the excess g^T M^-1 g / 2 is at most tol min(1, J), and so small that a step which contracts
it as the last one did leaves a 10,000th of that. This step is taken without looking at where it leads.
"""

from typing import NamedTuple

import numpy as np

from ..quadratic.curvature import Cholesky
from ..quadratic.metric import without_shift
from ..several import Columns, Points, Several
from .armijo import ARMIJO

__all__ = ["Arrivals", "Metric", "descend_side_by_side"]

MOST_STEPS = 40  # then the problem is one for ``solve``
CONTRACTS = 0.1  # the excess, by so much at least, if M is a good metric: Hessians that differ by a third do
LEAST = 1e-4  # of the goal: what the last step leaves, if it contracts as the one before; the error is its root


class Metric:
    """The Hessians of all weightings at one theta, and those that single problems have at their own."""

    def __init__(self, several: Several, theta: np.ndarray):
        self.several, self.hessians = several, several.hessians(theta)

    def factor(self, columns, m):
        """The factorised metric of problem m of these."""
        return factorised(self.several, self.hessians[columns.weighting[m]], columns.curvature[m])

    def own(self, columns, m, theta):
        """The same of its own Hessian at its own theta."""
        return factorised(self.several, self.several.hessian(theta, columns.weighting[m]), columns.curvature[m])


def factorised(several, hessian, curvature):
    """A Hessian of the loss and a penalty's, factorised."""
    hessian = hessian.copy()
    np.einsum("ii->i", hessian)[:] += curvature.ravel()
    return Cholesky(without_shift(hessian, several.shape, slice(None)))


class Arrivals(NamedTuple):
    """Where the problems ended: theta; the excess before the last step; the number of steps; which have arrived."""

    theta: np.ndarray
    excess: np.ndarray
    n_steps: np.ndarray
    arrived: np.ndarray


class Descents(NamedTuple):
    """The problems that are still under way, as arrays over them.

    Their numbers; their points, directions, rates and excesses; and the excess before the last step.
    """

    number: np.ndarray
    columns: Columns
    point: Points
    direction: np.ndarray
    rate: np.ndarray
    excess: np.ndarray
    before: np.ndarray

    def some(self, index):
        """Some of them."""
        parts = (part.some(index) if isinstance(part, Columns | Points) else part[index] for part in self)
        return Descents(*parts)


def descend_side_by_side(several: Several, columns: Columns, theta, metric: Metric, tol: float) -> Arrivals:
    """Minimise every problem, from its own theta."""
    n_problems = len(theta)
    found = Arrivals(
        theta.copy(), np.full(n_problems, np.inf), np.zeros(n_problems, int), np.zeros(n_problems, dtype=bool)
    )
    factors = [metric.factor(columns, m) for m in range(n_problems)]
    running = begin(several, columns, theta, factors)
    for step in range(MOST_STEPS):
        arrived, lost = has_arrived(several, running, tol), is_lost(several, running)
        if arrived.any() or lost.any():
            leave(found, running, arrived, step)
            running = running.some(~(arrived | lost))
        if not len(running.number):
            break
        running = advance(several, running, factors)
        for m in np.flatnonzero(contracts_poorly(several, running, tol)):
            running = in_own_metric(metric, running, m, factors)
    return found


def begin(several, columns, theta, factors):
    """The problems at their start; those whose J is beyond all numbers there are lost."""
    point = several.at(theta, columns)
    direction, excess = aim(factors, np.arange(len(theta)), point)
    ones = np.where(np.isfinite(point.value), 1.0, 0.0)
    return Descents(np.arange(len(theta)), columns, point, direction, ones, excess, np.full(len(theta), np.inf))


def aim(factors, numbers, point):
    """The step of each problem to the minimum of its model, and how far the model falls."""
    direction = np.empty_like(point.theta)
    for to, number, gradient in zip(direction, numbers, point.gradient, strict=True):
        to[:] = -factors[number].solve(gradient)
    return direction, -0.5 * np.einsum("mjc,mjc->m", point.gradient, direction)


def goals(several, point, tol):
    """The excess at which each problem may stop."""
    return max(tol, several.resolution) * np.clip(point.value, several.resolution, 1.0)


def has_arrived(several, running, tol):
    """Which problems are at their minimum, but for one step more."""
    goal, excess, before = goals(several, running.point, tol), running.excess, running.before
    is_known = (before > excess) & (before < np.inf)
    contraction = np.divide(excess, before, out=np.ones_like(excess), where=is_known)
    is_noise = excess <= several.resolution * np.maximum(running.point.value, several.resolution)
    return (running.rate == 1) & (excess <= goal) & (is_noise | (excess * contraction <= LEAST * goal))


def is_lost(several, running):
    """Which problems have no step that lowers their J."""
    return ~(running.rate >= several.resolution) | ~np.isfinite(running.excess)


def contracts_poorly(several, running, tol):
    """Which problems had a full step that brought them less near than their metric promised."""
    is_poor = (running.before < np.inf) & ~(running.excess <= CONTRACTS * running.before)
    return is_poor & ~has_arrived(several, running, tol)


def advance(several, running, factors):
    """One pass: every problem tries its step; where J falls enough it is taken, elsewhere halved."""
    point, rate = running.point, running.rate
    trial = several.at(point.theta + rate[:, None, None] * running.direction, running.columns)
    slope = np.einsum("mjc,mjc->m", point.gradient, running.direction)
    enough = point.value + ARMIJO * rate * slope + several.resolution * np.abs(point.value)
    taken = np.flatnonzero(trial.value <= enough)
    new = Points(*(part.copy() for part in point))
    for part, of_trial in zip(new, trial, strict=True):
        part[taken] = of_trial[taken]
    direction, excess, before = running.direction.copy(), running.excess.copy(), np.full(len(rate), np.inf)
    before[taken] = excess[taken]
    direction[taken], excess[taken] = aim(factors, running.number[taken], new.some(taken))
    halved = rate / 2
    halved[taken] = 1.0
    return running._replace(point=new, direction=direction, rate=halved, excess=excess, before=before)


def in_own_metric(metric, running, m, factors):
    """The same problems, of which the m-th aims in the metric of its own Hessian."""
    number, point = running.number[m], running.point.some([m])
    factors[number] = metric.own(running.columns, m, point.theta[0])
    running.direction[m : m + 1], running.excess[m : m + 1] = aim(factors, [number], point)
    return running


def leave(found, running, arrived, step):
    """Take down where the problems that have arrived are."""
    some = running.some(arrived)
    found.theta[some.number] = some.point.theta + some.direction
    found.excess[some.number], found.n_steps[some.number], found.arrived[some.number] = some.excess, step + 1, True
