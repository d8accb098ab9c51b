"""Quasi-Newton descent in the metric of the features, for too many parameters to form a Hessian.

    theta := theta - alpha M^-1 dJ(theta),    M = G (x) B + penalty, improved by the secant pairs of the steps (L-BFGS)

A Newton step trusts a quadratic model. Where rows become certain of their class on the way, as with pixels, embeddings
and weak penalties, the quadratic is no model of J: its minimum is where most rows have no curvature left. This descent
does not rely on the model. J falls in each step, from any start, and each step takes one pass:

1. *Metric*. G has the second moments of the features, not weighted by the rows' curvature, and B the mean curvature of
   the classes (``features``). At first only the diagonal of G is made. G is formed once the descent has cost as much as
   G costs. B is made anew when the loss has halved, because B beside the penalty decides which directions are cheap.
2. *Scores*. z = X W + b is affine in theta, so once z and the scores of a direction are known, no step length costs a
   pass. The line search uses slopes, too, and may take rates beyond 1 (``wolfe``).
3. *Estimate*. Half the decrement in this metric is too low where the metric is poor. So the estimate also uses the
   falls of J so far: how much further J falls if it goes on in the same way. If the estimate is within the goal twice
   in a row, conjugate gradients solve with the Hessian of all rows, preconditioned by the metric. The solve gives a
   reliable estimate, Newton's step, which removes most of the excess, and the dual point for the proof.
4. *Many rows*. Where a sample has many rows for each feature, its Hessian at the current point, known by products, is
   the first matrix of L-BFGS instead, and M preconditions the solve (``sampled``). The sample is drawn anew when B is
   made. Its Newton decrement is a good estimate of the excess, and its rows make the proof.
5. *Few rows*. No metric of the features knows which rows have curvature left, and on few rows a product is cheap. There
   Newton's step is tried after 8, 16, 32, ... steps, and again as long as J falls as the step promised. The solve is in
   the span of the rows, by their products with each other (``few_rows``), and rough while the minimum is far.
6. *End*. J is a mean over the rows, with a standard error. Where the minimum is far and flat, J falls for thousands of
   steps by less than its standard error. If the user has left the tolerance open, a long descent ends there.
7. *Path*. A descent that starts near the end of another one over the same rows goes on with its G and its secant pairs,
   for the new strength of the penalty. It is as long as the other one, if that was ended by the rule for long descents.

References
----------
Nocedal and Wright, "Numerical Optimization" (2006), sections 7.1 (truncated Newton) and 7.2 (L-BFGS).
Martens and Grosse, "Optimizing neural networks with Kronecker-factored approximate curvature", ICML 2015.
"""

from math import log
from typing import Any, NamedTuple

import numpy as np

from ..line import Line, labels_and_weights
from ..objective import Point
from ..quadratic.features import Features, gram_price, with_gram
from ..quadratic.few_rows import FewRows, kernel_of, kernel_price
from ..quadratic.metric import LocalModel, NewtonMetric, Solved, products_at
from ..quadratic.price import CHOLESKY
from ..quadratic.sampled import RowSample, sample_of
from ..quadratic.secant import Secant
from .loop import Method, goal_of
from .wolfe import Trial, search

__all__ = ["quasi_newton"]

CHEAP_GRAM = 10.0  # passes: a G that costs no more is formed before the first step
WORTH_GRAM = 3.0  # price of G / passes so far, at which G is formed, if it costs less than the steps that are left
LATE_GRAM = 10.0  # price of G / passes so far, beyond which a long descent does not wait for G
FADED = 0.5  # loss / loss where B was made, at which B is made anew
STRETCH, FAST = 4, 0.3  # steps of a stretch; fall in a stretch / fall in the stretch before, up to which J falls fast
SOLVE_SHARE, LEAST_PRODUCTS = 0.25, 10  # most products of the solve for Newton's step: a share of the passes, or ten
FEW_ROWS, FEW_ROWS_PER_FEATURE = 2000, 2  # most rows on which Newton's step is tried, where a product is cheap
STEPS_BEFORE_NEWTON = 7  # before the first trial; the next ones are where the number of steps is a power of two
ROUGH_RESIDUAL = 0.1  # of Newton's step far from the minimum, as the next step has another Hessian
KEPT_PROMISE = 0.25  # fall of J / fall that Newton's step promised, from which on the next step is Newton's, too
FEW_TRIAL_FEATURES = 256  # with more, a product for a trial that fails costs more than residuals that are made twice
TINY = float(np.finfo(float).tiny)
LONG_DESCENT = 100  # passes, after which a descent may end although J still falls
WINDOW = 10  # steps over which the fall of J is compared with its standard error


class Known(NamedTuple):
    """What a descent knows at its end, for a descent over the same rows in the same coordinates.

    ``metric`` and ``curvature`` are the metric and the penalty's curvature, ``is_long`` whether the rule for a long
    descent ended this one.
    """

    features: Features
    metric: Secant
    curvature: np.ndarray
    is_long: bool

    def metric_for(self, curvature):
        """The secant pairs, where the penalty has another curvature."""
        change = curvature - self.curvature
        pairs = [(ds, dg + change * ds, pair + float(np.vdot(ds, change * ds))) for ds, dg, pair in self.metric.pairs]
        return Secant(None, tuple(pair for pair in pairs if pair[2] > 0))


class QuasiState(NamedTuple):
    """theta, its scores, the mean loss; the metric, and its ingredients; the next step's direction."""

    point: Point
    excess: float
    rate: float
    scores: np.ndarray
    loss: float
    error: float  # the standard error of the mean loss
    labels: tuple[np.ndarray, np.ndarray]
    features: Features
    metric: Any
    made_at: float  # the mean loss where B was made
    direction: np.ndarray
    values: tuple[float, ...] = ()  # of J, from the start on
    times: float = 1.0  # reliable estimate of the excess / cheap estimate, at the last solve
    goal: float = 0.0  # the excess at which to stop
    is_small: bool = False  # whether the cheap estimate is within the goal
    solved: Solved | None = None  # Newton's step from here, if a solve was made
    kernel: np.ndarray | None = None  # the products of few rows with each other
    sample: RowSample | None = None  # rows whose Hessian is the metric, where there are many rows for each feature
    is_long: bool = False  # whether the descent goes on where a long descent ended


def quasi_newton(tol, rng, settles=False, known=None):
    """L-BFGS in the metric of the features, for a goal of tol.

    With ``settles``, a long descent ends before the goal, once J falls too slowly to matter. ``known`` is the ``Known``
    of a descent that ended where this one starts.
    """

    def start(objective, theta):
        theta = theta - theta.mean(axis=1, keepdims=True) if theta.shape[1] > 1 else theta  # as softmax does not see it
        z, labels = objective.scores(theta), labels_and_weights(objective)
        line = Line(objective, labels, z, z)
        loss = line.loss_and_gradient(0.0)
        point = line.point(theta, z, loss)
        curvature = objective.penalty_curvature
        before = known or Known(Features.of(objective), Secant(None), curvature, False)
        parts = before.features, before.metric_for(curvature), 0.0, theta
        state = QuasiState(point, np.nan, 1.0, z, loss.mean, loss.error, labels, *parts, is_long=before.is_long)
        return with_direction(objective, renewed(objective, state, rng), tol)

    def step(objective, state):
        moved = advance(objective, state)
        if moved is None:  # a metric that is made here, without pairs, may still lead downhill
            state = renewed(objective, state._replace(metric=Secant(None)), rng)
            moved = advance(objective, state._replace(direction=quasi_newton_step(objective, state)[0]))
        if moved is None:
            return state._replace(rate=0.0)
        return with_direction(objective, renewed(objective, moved, rng) if is_stale(objective, moved) else moved, tol)

    def goal(objective, state):
        fine = goal_of(objective, state.point, tol)
        return max(fine, state.excess) if settles and has_settled(objective, state) else fine

    def known_at(objective, state):
        has_ended = state.excess > state.goal and has_settled(objective, state)
        return Known(state.features, state.metric, objective.penalty_curvature, settles and has_ended)

    return Method(start, step, "quasi-Newton descent", model=model, goal=goal, counts_the_rest=True, known=known_at)


def model(objective, state):
    """The local model at the state's point."""
    if state.kernel is not None and objective.precision == "float32":  # a proof needs the step for rounded slopes
        solution = products(objective, state, from_residuals=False).solved(state.point.gradient)
        return LocalModel(objective, state.point, Solved(-solution.x, solution.estimate))
    metric, sample = state.solved or NewtonMetric(products(objective, state)), state.sample and state.sample.part
    return LocalModel(objective, state.point, metric, sample, state.metric)


def products(objective, state, **how):
    """The Hessian at the state's point, known by products; a solve may take a share of the passes so far.

    On few rows with a known kernel, ``how`` goes on to ``FewRows``.
    """
    most = round(max(LEAST_PRODUCTS, SOLVE_SHARE * objective.passes))
    limits = {"most_products": most, "enough": state.goal, "rough": ROUGH_RESIDUAL}
    if state.kernel is not None:
        return FewRows(objective, state.kernel, state.point, state.scores, **how, **limits)
    return products_at(objective, objective.curvature(state.scores), state.metric, **limits)


def is_stale(objective, state, factor=CHOLESKY):
    """Whether the metric is to be made anew: the loss has halved or doubled, or G is now worth its price."""
    return wants_gram(objective, state, factor) or not FADED * state.made_at <= state.loss <= state.made_at / FADED


def wants_gram(objective, state, factor=CHOLESKY):
    """Whether G is to be formed now: G is cheap, or the descent so far has cost a third of the price of G.

    A descent that needs fewer steps than G costs passes does without.
    """
    worth = min(WORTH_GRAM * objective.passes, steps_left(state))
    has_better = state.features.gram is not None or state.kernel is not None
    return not has_better and gram_price(objective, factor) <= max(CHEAP_GRAM, worth)


def steps_left(state):
    """How many steps the goal is away, if J goes on falling as in the last two stretches; 0 without these."""
    if len(state.values) <= 2 * STRETCH:
        return 0.0
    first, second = falls(state.values, 2 * STRETCH + 1, STRETCH + 1)
    share = first / max(second, TINY)
    if not share > 1:  # also where J has risen by its rounding
        return np.inf
    return STRETCH * log(max(state.excess / state.goal, 1.0)) / log(share)


def renewed(objective, state, rng):
    """The state with its metric made at its point; the secant pairs stay."""
    features, curved = state.features, state.scores if state.point.theta.any() else None
    if state.sample is not None or not state.values:
        state = state._replace(sample=sample_of(objective, features.squares, curved, rng))
    some, z = seen_rows(objective, state)
    if wants_gram(objective, state):
        features = with_gram(some, features, rng)
    penalty = objective.penalty.curvature(np.empty(objective.shape[0]))
    precision = objective.precision if state.sample is None else "float64"  # where it preconditions products
    first = features.metric(some.coupling_at(z), penalty, state.metric.first, precision)
    metric = state.metric._replace(first=first).scaled()
    return state._replace(features=features, metric=metric, made_at=state.loss)


def seen_rows(objective, state):
    """The objective on the rows of which the metric is made, and their scores."""
    if state.sample is None:
        return objective, state.scores
    return state.sample.mean, state.scores[state.sample.numbers]


def advance(objective, state):
    """The state after its step, still with the old direction; None where no rate lowers J.

    On few features the first trial makes the gradient, too, if the last step took its first trial.
    """
    point, direction, penalty = state.point, state.direction, objective.penalty
    slope = float(np.vdot(point.gradient, direction))
    if slope >= 0:
        return None
    line = Line(objective, state.labels, state.scores, objective.score_changes(direction))

    def at(rate):
        theta = point.theta + rate * direction
        is_likely = rate == state.rate == 1 and objective.shape[0] <= FEW_TRIAL_FEATURES
        loss = line.loss_and_gradient(rate) if is_likely else line.loss(rate)
        slope = loss.slope + float(np.vdot(penalty.gradient(theta), direction))
        return Trial(rate, loss.mean + penalty.value(theta), slope, (theta, loss))

    start = Trial(0.0, point.value, slope)
    trial = search(at, start, objective.resolution * abs(point.value))
    if trial is start:
        return None
    theta, loss = trial.known
    z = line.scores_at(trial.rate)
    new = line.point(theta, z, loss)
    return state._replace(
        point=new,
        rate=trial.rate,
        scores=z,
        loss=loss.mean,
        error=loss.error,
        metric=state.metric.with_step(theta - point.theta, new.gradient - point.gradient).scaled(),
    )


def is_long_descent(objective, state):
    """Whether the descent is so long that it may end although J still falls."""
    return objective.passes >= LONG_DESCENT or (state.is_long and len(state.values) > WINDOW)


def has_settled(objective, state, factor=CHOLESKY):
    """Whether WINDOW steps lower J by no more than its rounding or, in a long descent, than its standard error.

    A long descent first tries the metric with G, unless G is far too expensive; on few rows, Newton's step.
    """
    fall = state.values[max(0, len(state.values) - 1 - WINDOW)] - state.point.value
    if len(state.values) > WINDOW and fall <= objective.resolution * state.point.value:
        return True
    price = gram_price(objective, factor)
    has_gram = state.features.gram is not None or price > LATE_GRAM * objective.passes
    has_best_metric = has_gram if state.kernel is None else tried_newton_lately(state.values)
    return has_best_metric and is_long_descent(objective, state) and fall < state.error


def tried_newton_lately(values):
    """Whether one of the last WINDOW steps was a trial of Newton's step on few rows."""
    return 0 < len(values) - 2 ** (len(values).bit_length() - 1) <= WINDOW


def extrapolated_fall(values):
    """How much further J falls, extrapolated from two falls: each further fall is the same share of the one before.

    If J converges fast, the two falls are those of the last two stretches of a few steps. Otherwise they are those in
    the second quarter and in the second half of the way, which is right if J falls like any power of the number of
    steps. Infinite if the second fall is not smaller than the first.
    """
    first, second = falls(values, 2 * STRETCH + 1, STRETCH + 1)
    if len(values) <= 2 * STRETCH or second > FAST * first:
        first, second = falls(values, len(values) - (len(values) - 1) // 4, len(values) - (len(values) - 1) // 2)
        return second**2 / (first - second) if first > second >= 0 else np.inf
    if second > 0:
        return second**2 / (first - second)
    return 0.0 if second == 0 else np.inf


def falls(values, *before):
    """The fall from the earlier of two values to the later one, and from the later one to the last value.

    ``before`` has the places of the two values, counted from the end.
    """
    earlier, later = (values[-min(number, len(values))] for number in before)
    return earlier - later, later - values[-1]


def with_direction(objective, state, tol):
    """The state with its next direction, and an estimate of the excess at its point."""
    values = *state.values, state.point.value
    direction, state = quasi_newton_step(objective, state)
    decrement = -0.5 * float(np.vdot(state.point.gradient, direction))
    further = left(state, values) if state.sample is None else with_rest(decrement, state.excess)
    excess = min(state.times * max(decrement, further), state.point.value)
    goal = goal_of(objective, state.point, tol)
    small = excess <= goal
    directed = state._replace(direction=direction, excess=excess, values=values, goal=goal, is_small=small, solved=None)
    solves = small and state.sample is None and ends_if_small(objective, state)
    return verified(objective, directed) if solves or tries_newton(objective, state, values) else directed


def ends_if_small(objective, state, factor=CHOLESKY):
    """Whether a small estimate ends the descent: at its start, after another small one, and where it has settled."""
    return not state.values or state.is_small or has_settled(objective, state, factor)


def tries_newton(objective, state, values):
    """Whether to solve for Newton's step on few rows: now and then, and again after one that kept its promise."""
    if not has_few_rows(objective):
        return False
    if state.solved is None:
        return len(values) > STEPS_BEFORE_NEWTON and (len(values) & (len(values) - 1)) == 0
    return values[-2] - values[-1] >= KEPT_PROMISE * state.solved.fall


def has_few_rows(objective):
    """Whether rows are so few that a product is cheap and Newton's step is tried."""
    return objective.is_in_memory and objective.n_counted <= min(FEW_ROWS, FEW_ROWS_PER_FEATURE * objective.shape[0])


def left(state, values):
    """How much further J falls: the last reliable estimate less the fall since, or extrapolated; 0 at the start."""
    if len(values) == 1:
        return 0.0
    return extrapolated_fall(values) if state.solved is None else state.solved.fall - (values[-2] - values[-1])


def with_rest(excess, last):
    """The excess and what slow steps leave: if a step leaves a share q of the excess, 1 / (1 - q) times as much."""
    return excess * last / (last - excess) if excess < last else np.inf if last >= 0 else excess


def verified(objective, state):
    """The state with Newton's step and its estimate of the excess."""
    if state.kernel is None and has_few_rows(objective) and kernel_price(objective) <= WORTH_GRAM * objective.passes:
        state = state._replace(kernel=kernel_of(objective))
    solution = products(objective, state).solved(state.point.gradient)
    x = solution.x.copy()
    if objective.has_intercept:  # a proof needs residuals that add up to 0
        coupling = objective.coupling(objective.curvature(state.scores))
        x[-1] += np.linalg.pinv(coupling, hermitian=True) @ solution.rest[-1]
    excess = min(solution.estimate, state.point.value)  # J is not negative
    times = max(state.times, state.times * excess / max(state.excess, TINY))
    return state._replace(direction=-x, excess=excess, times=times, solved=Solved(-x, excess), is_small=False)


def quasi_newton_step(objective, state):
    """The step to the minimum of the metric's model; and the state, without its sample if that took too many products.

    Where rows become certain, features may be so badly conditioned that a solve with the sample is no good step.
    """
    metric = state.metric
    if state.sample is not None:
        hessian = state.sample.hessian(objective, state.scores, metric.first)
        metric = Secant(hessian, metric.pairs)
    step = -metric.solve(state.point.gradient)
    if state.sample is not None and hessian.residual > hessian.fine:
        state = state._replace(sample=None)
    step = step - step.mean(axis=1, keepdims=True) if step.shape[1] > 1 else step  # the mean is rounding: a shift
    return step, state
