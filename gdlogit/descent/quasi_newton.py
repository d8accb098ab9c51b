"""Quasi-Newton descent in the metric of the features, for more parameters than a Hessian can be formed of.

    theta := theta - alpha M^-1 dJ(theta),    M = G (x) B + penalty, improved by the secant pairs of the steps (L-BFGS)

A Newton step trusts a quadratic model. Where rows get certain on the way, as with pixels, embeddings and weak
penalties, the model is none: it leads to where most rows have no curvature left. This descent asks for no model to
hold. J falls in each step, one pass each, whatever the start:

1. *Metric*. G has the second moments of the features, whatever the rows' curvature, and B the mean curvature of the
   classes (``features``). At first G is its diagonal. It is formed once the descent has come to cost as much as that.
   B is taken anew when the loss has halved: what it is beside the penalty decides which directions are cheap.
2. *Scores*. z = X W + b is linear in theta, so with z and the scores of a direction at hand no step length costs a
   pass. The line search knows slopes, too, and may go further than 1 (``wolfe``).
3. *Estimate*. Half the decrement in this metric is too low where the metric is poor, so the falls of J so far count,
   too: how much is left if J goes on falling as it did. Where that is within the goal twice in a row, conjugate
   gradients solve with the Hessian of all rows, preconditioned by the metric. They give an estimate that is no guess,
   Newton's step, which takes most of the excess away, and the dual point that proves it.
4. *Few rows*. On few rows of many features passes are cheap, and no metric of the features knows which rows have
   curvature left. So Newton's step is asked for after 8, 16, 32, ... steps, too, and again as long as it keeps its
   promise.
5. *End*. Where the minimum is far and flat, J falls for thousands of steps by less than it is known: J is a mean over
   the rows, with a standard error. Where the tolerance may be chosen here, a long descent ends there.

References
----------
Nocedal and Wright, "Numerical Optimization" (2006), sections 7.1 (truncated Newton) and 7.2 (L-BFGS).
Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", ICML 2015.
"""

from typing import NamedTuple

import numpy as np

from ..objective import Point
from ..quadratic.features import Features, gram_price, with_gram
from ..quadratic.metric import LocalModel, NewtonMetric, Solved, products_at
from ..quadratic.secant import Secant
from .loop import Method, target
from .wolfe import Trial, search

__all__ = ["quasi_newton"]

AT_ONCE = 10.0  # passes: G is formed before the first step where it costs no more
OFTEN = 3.0  # times the passes so far: G is formed where it costs no more
LATE = 10.0  # times the passes so far: a G that costs more is not waited for
FADED = 0.5  # of the loss where B was taken, at which B is taken anew
STRETCH, FAST = 4, 0.3  # steps, and the part of the fall before that J falls in as many: less is fast
PART, FEW = 0.25, 10  # of the passes, or so many, may the solve for Newton's step take
FEW_ROWS, ROWS_PER_FEATURE = 2000, 2  # at most: a product is then cheap
NOW_AND_THEN = 7  # steps: first after so many, then whenever their number has doubled
KEPT = 0.25  # of the fall that Newton's step has promised
TINY = float(np.finfo(float).tiny)
PATIENCE = 100  # passes, after which a descent may end where J still falls
WINDOW = 10  # steps that then no longer lower J by its standard error


class QuasiState(NamedTuple):
    """theta, its scores, the mean loss; the metric, and what it is made of; the step to take next."""

    point: Point
    excess: float
    rate: float
    scores: np.ndarray
    loss: float
    error: float  # the standard error of the mean loss
    labels: tuple[np.ndarray, np.ndarray]
    features: Features
    metric: Secant
    made_at: float  # the mean loss where B was taken
    direction: np.ndarray
    values: tuple[float, ...] = ()  # of J, from the start on
    times: float = 1.0  # the cheap estimate of the excess is what is left
    is_small: bool = False  # is that estimate
    solved: Solved | None = None  # Newton's step from here, where it has been asked for


def quasi_newton(tol, rng, settles=False):
    """L-BFGS in the metric of the features, for a goal of tol.

    One that ``settles`` ends before the goal where that takes long: once J falls too slowly to matter.
    """

    def start(objective, theta):
        theta = theta - theta.mean(axis=1, keepdims=True) if theta.shape[1] > 1 else theta  # as softmax does not see it
        z, labels = objective.scores(theta), objective.labels()
        loss = objective.trial(labels, z, z, 0.0)
        point = Point(theta, loss.mean + objective.penalty.value(theta), objective.gradient_of(theta, loss))
        basis = Features.of(objective)
        state = QuasiState(point, np.nan, 1.0, z, loss.mean, loss.error, labels, basis, Secant(None), 0.0, theta)
        return aim(objective, renewed(objective, state, rng), tol)

    def step(objective, state):
        moved = advance(objective, state)
        if moved is None:  # a metric without pairs, and made here, may still know a way down
            state = renewed(objective, state._replace(metric=Secant(None)), rng)
            moved = advance(objective, state._replace(direction=quasi_newton_step(state)))
        if moved is None:
            return state._replace(rate=0.0)
        return aim(objective, renewed(objective, moved, rng) if is_stale(objective, moved) else moved, tol)

    def goal(objective, state):
        fine = target(objective, state.point, tol)
        return max(fine, state.excess) if settles and has_settled(objective, state) else fine

    return Method(start, step, "quasi-Newton descent", model=model, goal=goal, counts_the_rest=True)


def model(objective, state):
    """The local model at the state's point."""
    return LocalModel(objective, state.point, state.solved or NewtonMetric(products(objective, state)))


def products(objective, state):
    """The Hessian at the state's point, known by products, of which a solve takes a part of the descent's passes."""
    most = round(max(FEW, PART * objective.passes))
    return products_at(objective, objective.curvature(state.scores), state.metric, most_products=most)


def is_stale(objective, state):
    """Whether the metric is to be made anew: the loss has faded, or G has come to be worth its price."""
    return wants_gram(objective, state) or not FADED * state.made_at <= state.loss <= state.made_at / FADED


def wants_gram(objective, state):
    """Whether G is to be formed now: the descent has cost a part of its price without arriving."""
    return state.features.gram is None and gram_price(objective) <= max(AT_ONCE, OFTEN * objective.passes)


def renewed(objective, state, rng):
    """The state with its metric made at its point; the secant pairs stay."""
    features = state.features
    if wants_gram(objective, state):
        features = with_gram(objective, features, rng)
    penalty = objective.penalty.curvature(np.empty(objective.shape[0]))
    first = features.metric(objective.coupling_at(state.scores), penalty)
    metric = state.metric._replace(first=first).scaled()
    return state._replace(features=features, metric=metric, made_at=state.loss)


def advance(objective, state):
    """The state after its step, with the next one still to be aimed; None where no rate lowers J."""
    point, direction, z = state.point, state.direction, state.scores
    slope, penalty = float(np.vdot(point.gradient, direction)), objective.penalty
    if slope >= 0:
        return None
    change = objective.score_changes(direction)

    def at(rate):
        theta = point.theta + rate * direction
        loss = objective.trial(state.labels, z, change, rate)
        slope = loss.slope + float(np.vdot(penalty.gradient(theta), direction))
        return Trial(rate, loss.mean + penalty.value(theta), slope, (theta, loss))

    start = Trial(0.0, point.value, slope)
    trial = search(at, start, objective.resolution * abs(point.value))
    if trial is start:
        return None
    theta, loss = trial.known
    new = Point(theta, trial.value, objective.gradient_of(theta, loss))
    return state._replace(
        point=new,
        rate=trial.rate,
        scores=z + trial.rate * change,
        loss=loss.mean,
        error=loss.error,
        metric=state.metric.with_step(theta - point.theta, new.gradient - point.gradient).scaled(),
    )


def is_long(objective):
    """Whether the descent has taken so many passes that it may end where J still falls."""
    return objective.passes >= PATIENCE


def has_settled(objective, state):
    """Whether WINDOW steps lower J by no more than its rounding; or, of a long descent, than its standard error.

    A long descent first tries the dearer metric, if that is within reach.
    """
    fall = state.values[max(0, len(state.values) - 1 - WINDOW)] - state.point.value
    if len(state.values) > WINDOW and fall <= objective.resolution * state.point.value:
        return True
    is_at_last = state.features.gram is not None or gram_price(objective) > LATE * objective.passes
    return is_at_last and is_long(objective) and fall < state.error


def rest(values):
    """How much further J falls, as its falls foretell: what is left after a second one, if the share stays.

    The falls are those in the last two stretches of a few steps, where J converges so fast that the second is a small
    part of the first. Otherwise they are those in the second quarter and in the second half of the
    way, which are right for a power of the number of steps, whatever its exponent. Infinite where no share is seen.
    """
    first, second = falls(values, 2 * STRETCH + 1, STRETCH + 1)
    if len(values) <= 2 * STRETCH or second > FAST * first:
        first, second = falls(values, len(values) - (len(values) - 1) // 4, len(values) - (len(values) - 1) // 2)
        return second**2 / (first - second) if first > second >= 0 else np.inf
    return second**2 / (first - second) if second >= 0 else np.inf


def falls(values, *before):
    """The fall from the earlier of two values, so many from the end, to the later one; and from that to the last."""
    earlier, later = (values[-min(number, len(values))] for number in before)
    return earlier - later, later - values[-1]


def aim(objective, state, tol):
    """The state with its next step, and an estimate of the excess at its point."""
    direction, values = quasi_newton_step(state), (*state.values, state.point.value)
    decrement = -0.5 * float(np.vdot(state.point.gradient, direction))
    excess = min(state.times * max(decrement, left(state, values)), state.point.value)
    small, is_first = excess <= target(objective, state.point, tol), len(values) == 1
    aimed = state._replace(direction=direction, excess=excess, values=values, is_small=small, solved=None)
    asks = small and (state.is_small or is_first)
    return verified(objective, aimed) if asks or goes_by_newton(objective, state, values) else aimed


def goes_by_newton(objective, state, values):
    """Whether to ask for Newton's step on few rows: now and then, and again where the last one kept its promise.

    Passes are cheap there. A metric of features cannot know which of few rows have curvature left.
    """
    if objective.n_counted > min(FEW_ROWS, ROWS_PER_FEATURE * objective.shape[0]):
        return False
    if state.solved is None:
        return len(values) > NOW_AND_THEN and (len(values) & (len(values) - 1)) == 0
    return values[-2] - values[-1] >= KEPT * state.solved.fall


def left(state, values):
    """How much further J falls: as was known before the last step, if it was; else as J's falls foretell.

    At the start, nothing is known.
    """
    if len(values) == 1:
        return 0.0
    return rest(values) if state.solved is None else state.solved.fall - (values[-2] - values[-1])


def verified(objective, state):
    """The state with Newton's step and its estimate of the excess."""
    solution = products(objective, state).solved(state.point.gradient)
    x = solution.x.copy()
    if objective.has_intercept:  # no residuals that do not add up to 0, as a proof asks
        x[-1] += np.linalg.pinv(objective.coupling_at(state.scores), hermitian=True) @ solution.rest[-1]
    times = max(state.times, state.times * solution.estimate / max(state.excess, TINY))
    return state._replace(
        direction=-x, excess=solution.estimate, times=times, solved=Solved(-x, solution.estimate), is_small=False
    )


def quasi_newton_step(state):
    """The step to the minimum of the metric's model."""
    step = -state.metric.solve(state.point.gradient)
    return step - step.mean(axis=1, keepdims=True) if step.shape[1] > 1 else step  # rounding, as softmax sees none
