"""One loop of descent, for every method.

A method is two functions over a State, a NamedTuple that begins with the fields point, excess and rate:

    start(objective, theta) -> State        step(objective, State) -> State

It knows how to take one step. The loop knows the rest: when to stop, what to record, and what to do when a step fails.
It stops where the excess of J over its minimum, as estimated by half the squared Newton decrement

    (J - min J)  ~  1/2 g^T H^-1 g,

is at most tol min(1, J), twice in a row: once is an estimate, and the step taken in between confirms it, unless its
fall and what is left by then add up to more than that. The estimate does not depend on the scale of any feature. A
method that has its own metric brings its own estimate (``excess``); for the others, which leave it as nan, the loop
makes one now and then. The own ones come of models that are solved roughly: where a step leaves a share q of what it
was to take away, and so do those after it, 1 / (1 - q) times the estimate is left, and that counts.

Rows that are held out may end it too, where none of the last steps has lowered their loss; the result is then the point
where that loss was lowest, whatever ended the descent. An interrupt (Ctrl-C) ends it at the best point so far; before
the first step has been taken there is none, and the interrupt goes on to the caller.

References
----------
Boyd and Vandenberghe, "Convex Optimization" (2004), section 9.5.1 (the Newton decrement).
"""

from collections.abc import Callable
from math import inf, isfinite, isnan, nan, sqrt
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from ..objective import Point
from ..quadratic.metric import excess_of

__all__ = ["Method", "Record", "Result", "descend", "target"]

LEAST = 1e-3  # of the goal: an estimate that has come down to it may be as it is


class Method(NamedTuple):
    """A way to take one step."""

    start: Callable[..., Any]
    step: Callable[..., Any]


class Record(NamedTuple):
    """What one iteration did: a row of the history.

    J; its estimated excess over the minimum, nan where no estimate was made; the norm of the gradient, in the
    coordinates of the descent; the rate; the passes over the rows and the seconds so far; the held-out rows' loss.
    """

    iteration: int
    value: float
    excess: float
    gradient_norm: float
    rate: float
    passes: float
    seconds: float
    validation_loss: float


class Result(NamedTuple):
    """Where the descent ended, and why.

    ``status`` is converged, max_iter, stalled, separable, diverged, or what was asked for: stopped (by ``watch``),
    early_stopped (by the held-out rows) or interrupted. ``direction`` has, if separable, the
    terms of a direction along which J falls for ever: the index (feature, score) and the coefficient of each.
    """

    point: Point
    excess: float
    status: str
    history: list[Record]
    direction: list = []

    def table(self):
        """The history as a structured array, a field for each of a Record's."""
        return np.array(self.history, dtype=list(Record.__annotations__.items()))


class Best:
    """The state of the lowest score; and how many steps have not lowered the score by more than tol min(1, score)."""

    def __init__(self, state, score):
        self.state, self.score = state, score
        self.reference, self.unchanged = score, 0

    def update(self, state, score, tol):
        """See the state after one more step."""
        if score <= self.score:
            self.state, self.score = state, score
        self.unchanged += 1
        if score < self.reference - tol * min(1.0, self.reference):
            self.reference, self.unchanged = score, 0


def descend(method, objective, theta, *, tol, max_iter, validate=None, patience=inf, watch=None):
    """Step from theta until J is within tol of its minimum; at most max_iter steps.

    ``validate(theta)`` is the loss of held-out rows; it ends the descent after ``patience`` steps that do not lower it.
    ``watch(record, point)`` sees every step, and may return True to end the descent there.
    """
    began = perf_counter()
    state = first = method.start(objective, theta)
    by_validation = patience < inf
    best = Best(first, inf if by_validation else first.point.value)  # held-out rows choose among the steps
    history = []
    claim, measured_at, status = inf, 0, "max_iter"  # claim: below it J cannot fall, if the last estimate was right
    try:
        for iteration in range(1, max_iter + 1):
            last, state = state, method.step(objective, state)
            point, excess, loss = state.point, state.excess, nan
            lost = not isfinite(point.value)
            if isnan(excess) and iteration >= 1.2 * measured_at and not lost:
                excess, measured_at = excess_of(objective, point), iteration
            if validate is not None and not lost:
                loss = validate(point.theta)
            norm, seconds = sqrt(np.vdot(point.gradient, point.gradient)), perf_counter() - began
            record = Record(iteration, point.value, excess, norm, state.rate, objective.passes, seconds, loss)
            if not lost:
                best.update(state, loss if by_validation else point.value, tol)
            history.append(record)  # last: what an interrupt keeps is at least as good as the history says
            stop = watch is not None and watch(record, point)
            goal = target(objective, point, tol)
            small = abs(excess) <= goal  # one below 0 is not of a convex model
            stays = state.rate > 0 and point is last.point  # as no step is worth taking
            creeps = not stays and last.excess > 0 and excess > goal * max(1 - excess / last.excess, LEAST)
            if lost:
                status = "diverged"
            elif small and not creeps and point.value - excess >= claim:
                status = "converged"
            elif stop:
                status = "stopped"
            elif point.value < objective.separation_value:
                status = "separable"
            elif state.rate == 0:
                status = "stalled"
            elif best.unchanged >= patience:
                status = "early_stopped"
            else:
                if not isnan(excess):
                    claim = point.value - goal if small else inf
                continue
            break
    except KeyboardInterrupt:
        if not history:
            raise
        status = "interrupted"
    if state.point.value > first.point.value and status in ("converged", "max_iter", "separable", "stalled"):
        status = "diverged"
    chosen = best.state if by_validation or status in ("diverged", "interrupted") else state
    return conclude(objective, chosen, status, history, tol)


def conclude(objective, state, status, history, tol):
    """The result at a state: converged wherever J is within tol there, unless there is more to say."""
    excess = excess_of(objective, state.point) if isnan(state.excess) else state.excess
    if status not in ("separable", "interrupted"):
        if abs(excess) <= target(objective, state.point, tol):
            status = "converged"
        elif status == "converged":  # the end of the descent was: the held-out rows were better off before
            status = "early_stopped"
    return Result(state.point, excess, status, history)


def target(objective, point, tol):
    """The excess at which to stop: tol min(1, J), or J's rounding where that is more.

    A J below the rounding of 1 is near enough to its minimum, which is not negative; it may go on falling for long.
    """
    relative, resolution = max(tol, objective.resolution), objective.resolution
    return relative * min(1.0, point.value) if point.value > resolution else resolution
