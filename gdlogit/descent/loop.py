"""One loop of descent, for every method.

A method is two functions over a State, a NamedTuple that begins with the fields point, excess and rate:

    start(objective, theta) -> State        step(objective, State) -> State

and a third, for what is judged at the end: ``model(objective, State)`` is the local model of J at the State's point,
which holds the metric that the method has made there, if it has.

A method knows how to take one step. The loop knows the rest: when to stop, what to record, and what to do when a step
fails. It stops where the excess of J over its minimum, as estimated by half the squared Newton decrement

    (J - min J)  ~  1/2 g^T H^-1 g,

is at most tol min(1, J), twice in a row: once is an estimate, and the step taken in between confirms it, unless its
fall and what is left by then add up to more than that. From a start at the minimum that is one step. The estimate does
not depend on the scale of any feature. A method that has its own metric brings its own estimate (``excess``); for the
others, which leave it as nan, the loop makes one now and then. The own ones come of models that are solved roughly:
where a step leaves a share q of what it was to take away, and so do those after it, 1 / (1 - q) times the estimate is
left, and that counts.

It also stops where STANDSTILL_STEPS steps in a row have moved J by no more than its rounding and have not halved the
estimate: the descent then stands still, whatever the estimate says, and rounding allows no more.

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
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..objective import Objective, Point
from ..penalty import Penalty, lacking
from ..quadratic.metric import LocalModel
from .status import Status

__all__ = ["NOBODY", "Ending", "Method", "Record", "State", "Watch", "descend", "table", "target"]

LEAST_GOAL_SHARE = 1e-3  # of the goal: an estimate that has come down to it may be as it is
# Steps without a visible change; an estimate that falls by 4% a step is seen in J until J is at its minimum.
STANDSTILL_STEPS = 10


class State(Protocol):
    """What a method passes from step to step: a NamedTuple that begins with these fields."""

    point: Point
    excess: float
    rate: float


class Method(NamedTuple):
    """A way to take one step.

    Every method takes a ``Penalty`` that is smooth. Of a penalty that is not, the method needs what ``needs`` has.
    ``goal(objective, State)`` is the excess at which to stop, where that is not ``target``. A method that
    ``counts_the_rest`` gives estimates that need not be raised where they hardly shrink.
    """

    start: Callable[[Objective, np.ndarray], Any]
    step: Callable[[Objective, Any], Any]
    name: str
    needs: type = Penalty
    model: Callable[[Objective, Any], LocalModel] = lambda objective, state: LocalModel.about_means(
        objective, state.point
    )
    goal: Callable[[Objective, Any], float] | None = None
    counts_the_rest: bool = False

    def target(self, objective: Objective, state: State, tol: float) -> float:
        """The excess at which to stop."""
        return target(objective, state.point, tol) if self.goal is None else self.goal(objective, state)


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


class Watch(NamedTuple):
    """What is told of each iteration: ``begin(where)`` before, ``end(record, where)`` after, which may ask to stop.

    In a descent, ``where`` is the Point. ``solve`` makes it a function that gives the user's theta.
    """

    begin: Callable[[Any], object] = lambda where: None
    end: Callable[[Record, Any], object] = lambda record, where: False


NOBODY = Watch()


def table(history: list[Record]) -> np.ndarray:
    """A history as a structured array, with a field for each of a Record's."""
    return np.array(history, dtype=list(Record.__annotations__.items()))


class Ending(NamedTuple):
    """Where a descent ended, and why; the local model of J there."""

    point: Point
    excess: float
    status: Status
    history: list[Record]
    model: LocalModel
    goal: float  # the excess at which the descent was to stop


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


class Standstill:
    """How many steps have neither moved J by more than its rounding nor halved the estimate of its excess."""

    def __init__(self, value):
        self.value, self.excess, self.steps = value, inf, 0

    def update(self, value, excess, rounding):
        """See J and the estimate, which may be nan, after one more step."""
        self.steps += 1
        if abs(value - self.value) > rounding or excess < self.excess / 2:
            self.value, self.excess, self.steps = value, inf if isnan(excess) else excess, 0


def descend(method, objective, theta, *, tol, max_iter, validate=None, patience=inf, watch=NOBODY) -> Ending:
    """Step from theta until J is within tol of its minimum; at most max_iter steps.

    ``validate(theta)`` is the loss of held-out rows; it ends the descent after ``patience`` steps that do not lower it.
    ``watch`` is told of every step, and may end the descent there.
    """
    check_penalty(method, objective.penalty)
    began = perf_counter()
    state = first = method.start(objective, theta)
    by_validation = patience < inf
    best = Best(first, inf if by_validation else first.point.value)  # held-out rows choose among the steps
    still, history = Standstill(first.point.value), []
    claim, measured_at, status = claimed_at_start(objective, first, tol), 0, Status.MAX_ITER
    try:
        for iteration in range(1, max_iter + 1):
            watch.begin(state.point)
            last, state = state, method.step(objective, state)
            point, excess, loss = state.point, state.excess, nan
            lost = not isfinite(point.value)
            if isnan(excess) and iteration >= 1.2 * measured_at and not lost:
                excess, measured_at = LocalModel.about_means(objective, point).excess, iteration
            if validate is not None and not lost:
                loss = validate(point.theta)
            norm, seconds = sqrt(np.vdot(point.gradient, point.gradient)), perf_counter() - began
            record = Record(iteration, point.value, excess, norm, state.rate, objective.passes, seconds, loss)
            if not lost:
                best.update(state, loss if by_validation else point.value, tol)
            history.append(record)  # last: what an interrupt keeps is at least as good as the history says
            stop = watch.end(record, point)
            still.update(point.value, excess, objective.resolution * abs(point.value))
            goal = method.target(objective, state, tol)
            small = is_small(excess, point, goal)
            stays = method.counts_the_rest or (state.rate > 0 and point is last.point)  # as no step is worth taking
            creeps = not stays and last.excess > 0 and excess > goal * max(1 - excess / last.excess, LEAST_GOAL_SHARE)
            if lost:
                status = Status.DIVERGED
            elif small and not creeps and point.value - excess >= claim:
                status = Status.CONVERGED
            elif stop:
                status = Status.STOPPED
            elif point.value < objective.separation_value:
                status = Status.SEPARABLE
            elif state.rate == 0 or still.steps >= STANDSTILL_STEPS:
                status = Status.CONVERGED if small else Status.STALLED
            elif best.unchanged >= patience:
                status = Status.EARLY_STOPPED
            else:
                if not isnan(excess):
                    claim = claimed(point, excess, goal)
                continue
            break
    except KeyboardInterrupt:
        if not history:
            raise
        status = Status.INTERRUPTED
    unasked = status in (Status.CONVERGED, Status.MAX_ITER, Status.SEPARABLE, Status.STALLED)
    if state.point.value > first.point.value and unasked:
        status = Status.DIVERGED
    chosen = best.state if by_validation or status in (Status.DIVERGED, Status.INTERRUPTED) else state
    return conclude(method, objective, chosen, status, history, tol)


def claimed_at_start(objective, first, tol):
    """What an estimate at the start claims; one is made for a start that is not 0, as it may be the minimum."""
    excess = first.excess
    if isnan(excess) and first.point.theta.any():
        excess = LocalModel.about_means(objective, first.point).excess
    return claimed(first.point, excess, target(objective, first.point, tol))


def claimed(point, excess, goal):
    """Below what J cannot fall, if an estimate that is within the goal is right; infinite if it is not within."""
    return point.value - goal if is_small(excess, point, goal) else inf


def is_small(excess, point, goal):
    """Whether an excess is within a goal, by its estimate or as J is; an estimate below 0 is not of a convex model."""
    return abs(excess) <= goal or point.value <= goal


def check_penalty(method, penalty):
    """Raise a TypeError that names what a penalty lacks for a method."""
    missing = lacking(penalty, Penalty)
    if not missing and not penalty.is_smooth:
        missing = lacking(penalty, method.needs)
    if missing:
        raise TypeError(f"{type(penalty).__name__} is no penalty for {method.name}: it lacks {', '.join(missing)}.")


def conclude(method, objective, state, status, history, tol) -> Ending:
    """The ending at a state: converged wherever J is within tol there, unless there is more to say."""
    model = method.model(objective, state)
    excess = model.excess if isnan(state.excess) else state.excess
    goal = method.target(objective, state, tol)
    if status not in (Status.SEPARABLE, Status.INTERRUPTED):
        if is_small(excess, state.point, goal):
            status = Status.CONVERGED
        elif status is Status.CONVERGED:  # the end of the descent was: the held-out rows were better off before
            status = Status.EARLY_STOPPED
    return Ending(state.point, excess, status, history, model, goal)


def target(objective, point, tol):
    """The excess at which to stop: tol min(1, J), or J's rounding where that is more.

    A J below the rounding of 1 is near enough to its minimum, which is not negative; it may go on falling for long.
    """
    relative, resolution = max(tol, objective.resolution), objective.resolution
    return relative * min(1.0, point.value) if point.value > resolution else resolution
