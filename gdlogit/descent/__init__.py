"""One loop of descent, for every method.

A method is two functions over a State, a NamedTuple that begins with the fields point, excess and rate:

    start(objective, theta) -> State        step(objective, State) -> State

It knows how to take one step. The loop knows the rest: when to stop, what to record, and what to do when a step fails.
It stops where the excess of J over its minimum, as estimated by half the squared Newton decrement

    (J - min J)  ~  1/2 g^T H^-1 g,

is at most tol min(1, J), twice in a row: once is an estimate, and the step taken in between confirms it. The estimate
does not depend on the scale of any feature. A method that has its own metric brings its own estimate (``excess``); for
the others, which leave it as nan, the loop makes one now and then.

References
----------
Boyd and Vandenberghe, "Convex Optimization" (2004), section 9.5.1 (the Newton decrement).
"""

from collections.abc import Callable
from math import isfinite, isnan
from typing import Any, NamedTuple

from ..objective import Point
from .metric import excess_of

__all__ = ["Method", "Record", "Result", "descend"]


class Method(NamedTuple):
    """A way to take one step."""

    start: Callable[..., Any]
    step: Callable[..., Any]


class Record(NamedTuple):
    """What one iteration did: a row of the history."""

    iteration: int
    value: float
    excess: float
    rate: float
    passes: float


class Result(NamedTuple):
    """Where the descent ended, and why: ``status`` is converged, max_iter, stalled, separable or diverged."""

    point: Point
    excess: float
    status: str
    history: list[Record]


def descend(method, objective, theta, *, tol, max_iter, watch=None):
    """Step from theta until J is within tol of its minimum; at most max_iter steps, at least one."""
    state = first = best = method.start(objective, theta)
    history = []
    confirmed, measured_at = False, 0
    status = "max_iter"
    for iteration in range(1, max_iter + 1):
        state = method.step(objective, state)
        point, excess = state.point, state.excess
        lost = not isfinite(point.value)
        if isnan(excess) and iteration >= 1.2 * measured_at and not lost:
            excess, measured_at = excess_of(objective, point), iteration
        history.append(Record(iteration, point.value, excess, state.rate, objective.passes))
        if watch is not None:
            watch(history[-1])
        if lost:
            status = "diverged"
            break
        if point.value <= best.point.value:
            best = state
        small = excess <= target(objective, point, tol)
        if small and confirmed:
            break
        confirmed = small or (confirmed and isnan(excess))
        if point.value < objective.separation_value:
            status = "separable"
            break
        if state.rate == 0:
            status = "stalled"
            break
    if status == "diverged" or state.point.value > first.point.value:
        status, state = "diverged", best
    excess = excess_of(objective, state.point) if isnan(state.excess) else state.excess
    if status != "separable" and excess <= target(objective, state.point, tol):
        status = "converged"
    return Result(state.point, excess, status, history)


def target(objective, point, tol):
    """The excess at which to stop: tol min(1, J), or J's rounding where that is more."""
    return max(tol, objective.resolution) * min(1.0, point.value)
