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
3. *Newton steps, at the end*. Where the decrement says that the goal is near, conjugate gradients solve with the
   Hessian of all rows, whose products are passes; the metric preconditions them. What comes of that is an estimate of
   the excess that is no guess, and a step that takes most of the excess away. Where the step shows that the model does
   not hold there, the quasi-Newton steps go on.

References
----------
Nocedal and Wright, "Numerical Optimization" (2006), sections 7.1 (truncated Newton) and 7.2 (L-BFGS).
Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", ICML 2015.
"""

from typing import NamedTuple

import numpy as np

from ..objective import Point
from ..quadratic.features import Features, gram_price, with_gram
from ..quadratic.metric import LocalModel, Smooth, products_at
from ..quadratic.secant import Secant
from .loop import Method, target
from .wolfe import Trial, search

__all__ = ["quasi_newton"]

AT_ONCE = 10.0  # passes: G is formed before the first step where it costs no more
OFTEN = 3.0  # times the passes so far: G is formed where it costs no more
LATE = 10.0  # times the passes so far: a G that costs more is not waited for
FADED = 0.5  # of the loss where B was taken, at which B is taken anew
NEAR = 3.0  # times the goal: where the model is asked; decrements are 2 to 10 times too low (docs/decisions)
SOLVED = 0.1  # the residual to which conjugate gradients solve, relative to that of no step
SHARE, FEW = 0.5, 10  # of the passes so far, or so many: what one solve may take
PROOF = 0.25  # of the passes, or FEW: what the solve of a proof may take
HELD = 0.5  # of the fall that a Newton step promised
PATIENCE = 100  # passes, after which a descent may end where J still falls
WINDOW = 10  # steps that then no longer lower J by its standard error
AGAIN = 0.1  # of the decrement at which the model did not hold: where it is asked again


class Newton(NamedTuple):
    """What is known of Newton's model.

    How many ``times`` the decrement the excess was, when the model was last asked; how far the step is to fall that the
    state has of it, 0 where the step is none of Newton's; and the decrement ``below`` which the model is asked again.
    """

    times: float = 1.0
    promised: float = 0.0
    below: float = np.inf


class QuasiState(NamedTuple):
    """theta, its scores, the mean loss; the metric, and what it is made of; the step to take next."""

    point: Point
    excess: float
    rate: float
    scores: np.ndarray
    loss: float
    error: float  # the standard error of the mean loss
    labels: np.ndarray
    features: Features
    metric: Secant
    made_at: float  # the mean loss where B was taken
    newton: Newton
    direction: np.ndarray
    values: tuple[float, ...] = ()  # of J, from the start on


def quasi_newton(tol, rng, settles=False):
    """L-BFGS in the metric of the features, for a goal of tol.

    One that ``settles`` ends before the goal where that takes long: once J falls too slowly to matter.
    """

    def start(objective, theta):
        theta = theta - theta.mean(axis=1, keepdims=True) if theta.shape[1] > 1 else theta  # as softmax does not see it
        z, labels = objective.scores(theta), objective.labels()
        loss = objective.trial(labels, z, z, 0.0)
        point = Point(theta, loss.mean + objective.penalty.value(theta), objective.gradient_of(theta, loss.residuals))
        basis = Features.of(objective)
        state = QuasiState(
            point, np.nan, 1.0, z, loss.mean, loss.error, labels, basis, Secant(None), 0.0, Newton(), theta
        )
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
    """The local model at the state's point, its Hessian known by products: a proof may take some, beside the descent."""
    most = round(max(FEW, PROOF * objective.passes))
    hessian = products_at(objective, objective.curvature(state.scores), state.metric, most_products=most)
    return LocalModel(objective, state.point, Smooth(hessian))


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
    new = Point(theta, trial.value, objective.gradient_of(theta, loss.residuals))
    return state._replace(
        point=new,
        rate=trial.rate,
        scores=z + z.dtype.type(trial.rate) * change,
        loss=loss.mean,
        error=loss.error,
        metric=state.metric.with_step(theta - point.theta, new.gradient - point.gradient).scaled(),
        newton=judged(state.newton, point.value - new.value),
    )


def is_long(objective):
    """Whether the descent has taken so many passes that it may end where J still falls."""
    return objective.passes >= PATIENCE


def has_settled(objective, state):
    """Whether a long descent lowers J by less than its standard error in WINDOW steps."""
    return (
        is_long(objective) and state.values[-1 - min(WINDOW, len(state.values) - 1)] - state.point.value < state.error
    )


def rest(values):
    """How much further J falls, as the falls since a half and a quarter of the way foretell: exact for any power law.

    Infinite where the fall in the second half was not the smaller one.
    """
    quarter, half, end = (values[(len(values) - 1) // part] for part in (4, 2, 1))
    first, second = quarter - half, half - end
    return second**2 / (first - second) if first > second >= 0 else np.inf


def judged(newton, fall):
    """Newton's model, after a step that J has fallen by so much in."""
    holds = fall >= HELD * newton.promised
    return newton._replace(promised=0.0, below=newton.below if holds else AGAIN * newton.below)


def aim(objective, state, tol):
    """The state with its next step: the quasi-Newton one or, near the goal, Newton's."""
    direction, newton = quasi_newton_step(state), state.newton
    decrement = -0.5 * float(np.vdot(state.point.gradient, direction))
    values = (*state.values, state.point.value)
    state = state._replace(values=values)
    goal, excess = target(objective, state.point, tol), newton.times * decrement
    if is_long(objective):
        excess = max(excess, min(rest(values), state.point.value))
    is_near = 0 < decrement <= min(NEAR * goal, newton.below)
    if not is_near or (newton.times > 1 and excess <= goal):
        return state._replace(direction=direction, excess=excess)
    solution = solved(objective, state)
    newton = Newton(max(1.0, solution.estimate / decrement), solution.fall, decrement)
    if solution.fall > state.point.value:  # J would be negative: the model does not hold so far away
        newton = newton._replace(promised=0.0, below=AGAIN * decrement)
    else:
        direction = -solution.x
    return state._replace(direction=direction, excess=solution.estimate, newton=newton)


def quasi_newton_step(state):
    """The step to the minimum of the metric's model."""
    step = -state.metric.solve(state.point.gradient)
    return step - step.mean(axis=1, keepdims=True) if step.shape[1] > 1 else step  # rounding, as softmax sees none


def solved(objective, state):
    """The last iterate of conjugate gradients for Newton's step."""
    hessian = products_at(objective, objective.curvature(state.scores), state.metric)
    most = max(FEW, SHARE * objective.passes)
    for products, iterate in enumerate(hessian.iterates(state.point.gradient)):
        if iterate.residual <= SOLVED or iterate.fall > state.point.value or products >= most:
            break
    return iterate
