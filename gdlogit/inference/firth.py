r"""Firth's bias reduction: the maximum of the likelihood times Jeffreys' prior, which is finite for separable classes.

    l*(theta) = l(theta) + 1/2 log |I(theta)|

One exact formula serves sigmoid and softmax. Let B_i be the leverage of row i (see ``summands``; the reference has
zeros) and a its probabilities. The prior adds

    1/2 a_c (q_c - E),    q_c = (e_c - a)^T B_i (e_c - a),    E = sum_c a_c q_c,

to the row's score for each class c; for two classes that is h_i (1/2 - a), with h_i the hat value. The result does not
depend on the reference. A step is I^-1 u*, halved until l* rises. It takes one information, and one pass for the
leverages.

References
----------
Firth, "Bias reduction of maximum likelihood estimates", Biometrika 80 (1993).
Heinze and Schemper, "A solution to the problem of separation in logistic regression", Statistics in Medicine 21 (2002).
Kosmidis and Firth, "Bias reduction in exponential family nonlinear models", Biometrika 96 (2009).
"""

from functools import partial
from math import inf
from typing import NamedTuple, cast

import numpy as np

from ..descent.loop import NOBODY, DescentResult, Method, Watch, descend
from ..objective import FORMED_PARAMETERS, Objective, Point
from ..penalty import ElasticNet
from ..problem import Coordinates, Problem
from ..quadratic.metric import NewtonMetric
from ..solve import Settings, Solution, Status
from . import summands
from .contrasts import Contrasts
from .information import Information
from .likelihood import Likelihood

__all__ = ["FirthLikelihood", "aliased_features", "solve_firth"]

# Excess at which a fit ends / ``tol``, in units of the whole l*: steps contract the distance only linearly.
TOL_SHARE = 1e-4
LEAST_RATE = 1e-6
NOISE = 1e-10  # relative to J: the rounding of log |I|, where I is nearly singular
SLOW_SHARE = 0.1  # excess after a step / excess before: where it is more, secant pairs improve the metric


class FirthLikelihood(Likelihood):
    """A likelihood that adds Jeffreys' prior: l* in the place of l."""

    def evaluate(self, theta):
        """The value of l*, its score and the information, in two passes."""
        loglik, score, matrix = self.information(theta)
        information = Information(matrix, self.shape[1])
        f = partial(summands.jeffreys_score, self.loss, self.contrasts, theta, information.root)
        (correction,) = self.sum(f, products=2 * self.n_parameters * self.shape[1])
        return loglik + 0.5 * information.log_det, score + correction, information


class FirthState(NamedTuple):
    """theta, its excess, the last rate, the information, and the metric, which the last steps improve."""

    point: Point
    excess: float
    rate: float
    information: Information
    metric: NewtonMetric


class PerRow(NamedTuple):
    """The information divided by S, as a metric for J."""

    information: Information
    total: float

    def solve(self, g):
        """S I^-1 g."""
        return self.total * self.information.solve(g)


class FirthObjective:
    """The objective -l* / S for the loop of descent, plus half of log |I| / S at theta = 0.

    That constant makes the value independent of the units of the features, and not negative for two classes.
    """

    penalty = ElasticNet(0.0)
    separation_value = -inf

    def __init__(self, likelihood):
        self.likelihood = likelihood
        self.resolution = float(np.finfo(float).eps) ** 1.5  # the excess comes from slopes, whose rounding is eps
        self.precision = "float64"
        self.log_det = None

    def _log_det_at_zero(self):
        _, _, matrix = self.likelihood.information(np.zeros(self.likelihood.shape))
        return Information(matrix, self.likelihood.shape[1]).log_det

    @property
    def passes(self):
        """The passes over the rows so far."""
        return self.likelihood.passes

    def state(self, theta, rate=1.0, last=None):
        """The state at a theta, after the ``last`` state."""
        loglik, score, information = self.likelihood.evaluate(theta)
        total = self.likelihood.total
        if self.log_det is None:
            self.log_det = information.log_det if not theta.any() else self._log_det_at_zero()
        point = Point(theta, (0.5 * self.log_det - loglik) / total, -score / total)
        excess = 0.5 * float(np.vdot(score, information.solve(score))) / total
        metric = NewtonMetric(PerRow(information, total))
        if last and excess > SLOW_SHARE * last.excess:
            change = theta - last.point.theta, point.gradient - last.point.gradient
            metric = metric._replace(pairs=last.metric.pairs).updated(*change)
        return FirthState(point, excess, rate, information, metric)


def step(objective, state):
    """The state after a step, halved until J falls; a rise within J's rounding is accepted if the slope halves."""
    direction, rate = -state.metric.solve(state.point.gradient), 1.0
    while rate >= LEAST_RATE:
        new = objective.state(state.point.theta + rate * direction, rate, state)
        rise = new.point.value - state.point.value
        if rise <= 0 or (rise <= NOISE * abs(state.point.value) and new.excess <= state.excess / 4):
            return new
        rate /= 2
    return state._replace(rate=0.0)


class FirthModel(NamedTuple):
    """The end of the descent, in the place of a ``LocalModel``."""

    objective: FirthObjective
    point: Point
    information: Information
    excess: float


METHOD = Method(
    lambda objective, theta: objective.state(theta),
    step,
    "firth",
    model=lambda objective, state: FirthModel(objective, state.point, state.information, state.excess),
)


def solve_firth(
    problem: Problem, settings: Settings, start: np.ndarray | None = None, watch: Watch = NOBODY, held_out=None
) -> Solution:
    """The maximum of l* for a problem's rows, from the user's theta; arguments and result are those of ``solve``."""
    n = problem.shape[0] * max(1, problem.loss.n_outputs - 1)
    if n > FORMED_PARAMETERS:
        raise ValueError(f"bias_reduction='firth' is for at most {FORMED_PARAMETERS} parameters; the model has {n}.")
    coordinates = Coordinates.of_means(problem.rows).copied_for_passes()
    likelihood = FirthLikelihood(coordinates, problem.loss, Contrasts(problem.loss.n_outputs))
    with likelihood.threads():
        objective = FirthObjective(likelihood)
        others = held_out and Objective(held_out, problem.loss, ElasticNet(0.0))
        ending = descend(
            METHOD,
            objective,
            likelihood.inside(np.zeros(problem.shape) if start is None else start),
            tol=TOL_SHARE * settings.formed_tol / likelihood.total,
            max_iter=settings.max_iter,
            validate=others and (lambda theta: others.value(likelihood.users(theta))),
            watch=Watch(watch.begin, lambda record, point: watch.end(record, lambda: likelihood.users(point.theta))),
        )
    theta = likelihood.users(model_of(ending).information.without_aliased(ending.point.theta))
    status = Status.ABOVE_START if ending.status is Status.DIVERGED else ending.status
    goal = settings.formed_tol * min(1.0, ending.point.value)
    return Solution(theta, status, ending.excess, inf, goal, ending.history, ending.model, coordinates, [])


def model_of(end: DescentResult | Solution) -> FirthModel:
    """The model at the end of Firth's method."""
    return cast(FirthModel, end.model)


def aliased_features(solution: Solution) -> np.ndarray:
    """The numbers of the features without an estimate, which are linear functions of the features before them."""
    estimable = model_of(solution).information.estimable.reshape(solution.point.theta.shape)
    return np.flatnonzero(~estimable[:-1].all(axis=1))
