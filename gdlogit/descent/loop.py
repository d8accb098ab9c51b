"""One loop of descent, for every method.

A method is two functions over a State, a NamedTuple that begins with the fields point, excess and rate:

    start(objective, theta) -> State        step(objective, State) -> State

and a third for the end: ``model(objective, State)`` is the local model of J at the State's point. The model holds the
metric that the method has made at this point, if it has made one.

A method knows how to take one step. The loop knows when to stop, what to record, and what to do when a step fails.

*Stopping.* The excess J - min J is estimated by half the squared Newton decrement,

    J - min J  ~  1/2 g^T H^-1 g,

which does not depend on the scale of any feature. The descent stops where the estimate is at most the goal,
tol min(1, J), twice in a row. One estimate may be wrong; the step to the second point tests it. The first estimate is
wrong if the fall of J in that step and the second estimate add up to more than the goal. So a descent that starts at
the minimum takes one step.

A method with a metric of its own estimates the excess itself. The other methods leave the estimate as nan, and the loop
makes one now and then. A method's own estimate comes from a model that is solved roughly. If each step leaves a share q
of the excess, the true excess is 1 / (1 - q) times the estimate, and the loop compares that with the goal.

*Standstill.* The descent also stops where STANDSTILL_STEPS steps in a row have not brought J below the lowest J so far
by more than its rounding, and have not halved the estimate: rounding then allows no progress, whatever the estimate is.
The methods without an estimate may raise J on their way; for them a rise is a move, too.

*Held-out rows.* The descent may stop where none of the last steps has lowered the loss of held-out rows. The result is
then the point where that loss was lowest, whatever ended the descent.

*Interrupt.* Ctrl-C ends the descent at the best point so far. Before the first step there is no such point, and the
interrupt goes on to the caller.

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

__all__ = [
    "NOBODY",
    "DescentResult",
    "Method",
    "Record",
    "State",
    "Watch",
    "descend",
    "even_if_interrupted",
    "goal_of",
    "table",
]

LEAST_GOAL_SHARE = 1e-3  # estimate / goal: a smaller estimate is accepted, however slowly the estimates fall
# Steps without a visible change. If the excess falls by 4% a step or more, J shows it until J is at its minimum.
STANDSTILL_STEPS = 10


class State(Protocol):
    """What a method passes from step to step: a NamedTuple that begins with these fields."""

    point: Point
    excess: float
    rate: float


class Method(NamedTuple):
    """A way to take one step.

    Every method takes a smooth ``Penalty``. Of a penalty that is not smooth, the method needs the protocol ``needs``.
    ``goal(objective, State)`` is the excess at which to stop; None is ``goal_of``. With ``counts_the_rest``, the
    method's estimates include what slow steps leave, so the loop does not raise an estimate that hardly shrinks.
    ``known(objective, State)`` is what a descent that starts at the State's point may use.
    """

    start: Callable[[Any, np.ndarray], Any]
    step: Callable[[Any, Any], Any]
    name: str
    needs: type = Penalty
    model: Callable[[Any, Any], Any] = lambda objective, state: LocalModel.about_means(objective, state.point)
    goal: Callable[[Objective, Any], float] | None = None
    counts_the_rest: bool = False
    known: Callable[[Objective, Any], Any] = lambda objective, state: None

    def goal_at(self, objective: Objective, state: State, tol: float) -> float:
        """The excess at which to stop."""
        return goal_of(objective, state.point, tol) if self.goal is None else self.goal(objective, state)


class Record(NamedTuple):
    """What one iteration did: a row of the history.

    ``value`` is J, and ``excess`` the estimate of J - min J, nan where no estimate was made. ``gradient_norm`` is in
    the coordinates of the descent. ``passes`` over the rows and ``seconds`` are counted from the start of the descent.
    ``validation_loss`` is the loss of the held-out rows, nan where there are none.
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
    """Two functions that the loop calls: ``begin(where)`` before each iteration, ``end(record, where)`` after it.

    ``end`` returns True to stop the descent. The loop passes its Point as ``where``; ``solve`` passes the user a
    function that returns the user's theta.
    """

    begin: Callable[[Any], object] = lambda where: None
    end: Callable[[Record, Any], object] = lambda record, where: False


NOBODY = Watch()


def table(history: list[Record]) -> np.ndarray:
    """A history as a structured array, with the fields of ``Record``."""
    return np.array(history, dtype=list(Record.__annotations__.items()))


class DescentResult(NamedTuple):
    """Where a descent ended, and why; the local model of J there."""

    point: Point
    excess: float
    status: Status
    history: list[Record]
    model: LocalModel
    goal: float  # the excess at which the descent was to stop
    known: Any  # what a descent that starts here may use


class Best:
    """The state of the lowest score, and the number of steps since the score fell by more than tol min(1, score)."""

    def __init__(self, state, score):
        self.state, self.score = state, score
        self.reference, self.unchanged = score, 0

    def update(self, state, score, tol):
        """Take in the state after one more step."""
        if score <= self.score:
            self.state, self.score = state, score
        self.unchanged += 1
        if score < self.reference - tol * min(1.0, self.reference):
            self.reference, self.unchanged = score, 0


class Standstill:
    """The number of steps since one moved J by more than its rounding or halved the estimate of the excess.

    Where J ``falls_only``, a rise is no move: a line search lets J rise by its rounding, step after step.
    """

    def __init__(self, value, falls_only):
        self.value, self.excess, self.steps, self.falls_only = value, inf, 0, falls_only

    def update(self, value, excess, rounding):
        """Take in J and the estimate, which may be nan, after one more step."""
        self.steps += 1
        fall = self.value - value
        if fall > rounding or (fall < -rounding and not self.falls_only) or excess < self.excess / 2:
            self.value = min(value, self.value) if self.falls_only else value
            self.excess, self.steps = inf if isnan(excess) else excess, 0


def descend(method, objective, theta, *, tol, max_iter, validate=None, patience=inf, watch=NOBODY) -> DescentResult:
    """Step from theta until J is within tol of its minimum; at most max_iter steps.

    ``validate(theta)`` is the loss of held-out rows; the descent ends after ``patience`` steps that do not lower it.
    ``watch`` is called before and after every step, and may end the descent after it.
    """
    check_penalty(method, objective.penalty)
    began = perf_counter()
    state = first = method.start(objective, theta)
    by_validation = patience < inf
    best = Best(first, inf if by_validation else first.point.value)  # held-out rows choose among the steps
    standstill, history = Standstill(first.point.value, falls_only=not isnan(first.excess)), []
    claimed_minimum, measured_at, status = claimed_at_start(objective, first, tol), 0, Status.MAX_ITER
    try:
        for iteration in range(1, max_iter + 1):
            watch.begin(state.point)
            last, state = state, method.step(objective, state)
            point, excess, loss = state.point, state.excess, nan
            overflows = not isfinite(point.value)
            if isnan(excess) and iteration >= 1.2 * measured_at and not overflows:
                excess, measured_at = LocalModel.about_means(objective, point).excess, iteration
            if validate is not None and not overflows:
                loss = validate(point.theta)
            norm, seconds = sqrt(np.vdot(point.gradient, point.gradient)), perf_counter() - began
            record = Record(iteration, point.value, excess, norm, state.rate, objective.passes, seconds, loss)
            if not overflows:
                best.update(state, loss if by_validation else point.value, tol)
            history.append(record)  # after ``best``: an interrupt between the two keeps a point that is no worse
            stop = watch.end(record, point)
            standstill.update(point.value, excess, objective.resolution * abs(point.value))
            goal = method.goal_at(objective, state, tol)
            small = is_small(excess, point, goal)
            stays = method.counts_the_rest or (state.rate > 0 and point is last.point)  # as no step is worth taking
            rest = left_by_a_step(excess, last.excess, history[-3].excess if len(history) > 2 else nan)
            creeps = not stays and excess > goal * max(1 - rest, LEAST_GOAL_SHARE)
            if overflows:
                status = Status.DIVERGED
            elif small and not creeps and point.value - excess >= claimed_minimum:
                status = Status.CONVERGED
            elif stop:
                status = Status.STOPPED
            elif point.value < objective.separation_value:
                status = Status.SEPARABLE
            elif state.rate == 0 or standstill.steps >= STANDSTILL_STEPS:
                status = Status.CONVERGED if small else Status.STALLED
            elif best.unchanged >= patience:
                status = Status.EARLY_STOPPED
            else:
                if not isnan(excess):
                    claimed_minimum = claimed(point, excess, goal)
                continue
            break
    except KeyboardInterrupt:
        if not history:
            raise
        status = Status.INTERRUPTED
    may_diverge = status in (Status.CONVERGED, Status.MAX_ITER, Status.SEPARABLE, Status.STALLED)
    if state.point.value > first.point.value and may_diverge:
        status = Status.DIVERGED
    keeps_best = by_validation or status in (Status.DIVERGED, Status.INTERRUPTED, Status.STALLED)
    chosen = best.state if keeps_best else state
    return even_if_interrupted(lambda status: conclude(method, objective, chosen, status, history, tol), status)


def even_if_interrupted(finish, status):
    """The value of finish(status), or of finish(INTERRUPTED) if Ctrl-C is pressed in between.

    A second Ctrl-C raises KeyboardInterrupt.
    """
    try:
        return finish(status)
    except KeyboardInterrupt:
        if status is Status.INTERRUPTED:
            raise
        return finish(Status.INTERRUPTED)


def left_by_a_step(excess, last, before_last):
    """The share of the excess that the last step has left, or a mean step of the last two; 0 where nothing is known.

    The larger counts, because a single estimate that is low would make a slow descent look fast.
    """
    return max(excess / last if last > 0 else 0.0, sqrt(max(excess, 0.0) / before_last) if before_last > 0 else 0.0)


def claimed_at_start(objective, first, tol):
    """The ``claimed`` minimum at the start. An estimate is made if theta is not 0, for it may be the minimum."""
    excess = first.excess
    if isnan(excess) and first.point.theta.any():
        excess = LocalModel.about_means(objective, first.point).excess
    return claimed(first.point, excess, goal_of(objective, first.point, tol))


def claimed(point, excess, goal):
    """The lower bound on J that holds if a small estimate of the excess is right; infinite if none is claimed."""
    return point.value - goal if is_small(excess, point, goal) else inf


def is_small(excess, point, goal):
    """Whether the excess is within the goal: by its estimate, or because J itself is.

    An estimate far below 0 comes from a model that is not convex, and says nothing.
    """
    return abs(excess) <= goal or point.value <= goal


def check_penalty(method, penalty):
    """Raise a TypeError with the names that a method needs and the penalty lacks."""
    missing = lacking(penalty, Penalty)
    if not missing and not penalty.is_smooth:
        missing = lacking(penalty, method.needs)
    if missing:
        raise TypeError(f"{method.name} cannot use {type(penalty).__name__}: this penalty lacks {', '.join(missing)}.")


def conclude(method, objective, state, status, history, tol) -> DescentResult:
    """The ending at a state: CONVERGED wherever J is within tol of its minimum, unless separable or interrupted."""
    model = method.model(objective, state)
    excess = model.excess if isnan(state.excess) else state.excess
    goal = method.goal_at(objective, state, tol)
    if status not in (Status.SEPARABLE, Status.INTERRUPTED):
        if is_small(excess, state.point, goal):
            status = Status.CONVERGED
        elif status is Status.CONVERGED:  # at the last state; an earlier one, chosen by the held-out rows, has not
            status = Status.EARLY_STOPPED
    return DescentResult(state.point, excess, status, history, model, goal, method.known(objective, state))


def goal_of(objective, point, tol):
    """The excess at which to stop: tol min(1, J), or J's rounding where the rounding is larger.

    A J below the rounding of 1 is near enough to its minimum, because the minimum is not negative. Such a J might go on
    falling for long.
    """
    relative, resolution = max(tol, objective.resolution), objective.resolution
    return relative * min(1.0, point.value) if point.value > resolution else resolution
