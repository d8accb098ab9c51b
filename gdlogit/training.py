"""One fit: J over the rows, in the coordinates of its descent; the descent, and the proof of where it ended.

A theta outside has W and b of the features as they come. Inside, the Newton methods measure features from about their
means (``Rows.centred``), and few rows of many features are put into the space that they span (``compact``): the same
model and the same J, but better conditioned, or smaller. The textbook's methods descend on the features as they come.
"""

from math import inf, log

import numpy as np

from .data.span import compact
from .descent import gradient, newton, stochastic, truncated
from .descent.loop import descend, target
from .estimators.validation import TEXTBOOK
from .objective import Objective
from .penalty import ElasticNet
from .quadratic.metric import DENSE_PARAMETERS, is_dense, metric_at
from .verdict.duality import duality_gap
from .verdict.least_norm import of_least_norm
from .verdict.separation import separating_direction

__all__ = ["Training"]

UNPROVEN = 0.01  # of J: a larger gap with an l1 penalty puts the estimate of its excess in doubt
UNCLEAR = 100  # times the goal: a larger gap does so with l2, in float32 or where the Hessian is singular to rounding
NO_WEIGHT = 1e-6  # of the largest: rounding
ASKED_FOR = ("stopped", "early_stopped", "interrupted")  # ends that need no other reason


class Training:
    """A fit of rows by the parameters of an estimator.

    Parameters
    ----------
    estimator : GDLogisticRegression, of which only parameters are read.
    rows : Rows, or BatchRows.
    loss : Sigmoid or Softmax.
    held_out : other Rows, whose loss is followed; or None.
    """

    def __init__(self, estimator, rows, loss, held_out=None):
        self.estimator, self.dtype = estimator, rows.dtype
        strength = 1 / (estimator.C * rows.total)
        penalty = ElasticNet((1 - estimator.l1_ratio) * strength, estimator.l1_ratio * strength)
        self._given = rows if estimator.solver in TEXTBOOK else rows.centred()
        most = DENSE_PARAMETERS // loss.n_outputs if penalty.l1 == 0 else 0
        self.rows, self._lower, self._lift = compact(self._given, most)
        self.objective = Objective(self.rows.copied_if_few(), loss, penalty)
        self.held_out = held_out and Objective(held_out, loss, ElasticNet(0.0))

    def inside(self, theta):
        """The theta of the descent, of one outside."""
        return self._lower(self._given.enter(theta))

    def start(self, theta):
        """The same, or no coefficients where J is lower there, as after a fit to the same features on other scales."""
        theta = self.inside(theta)
        at_zero = log(max(2, self.objective.loss.n_outputs))  # every class as likely as another
        return theta if not theta.any() or self.objective.value(theta) <= at_zero else np.zeros_like(theta)

    def outside(self, theta):
        """The theta of the features as they come, of one inside; of a softmax, with intercepts that add up to 0."""
        theta = self._given.leave(self._lift(theta))
        if theta.shape[1] > 1:
            theta[-1] -= theta[-1].mean()  # a shift that it does not see, and that an l1 penalty leaves open
        return theta

    def validate(self, theta):
        """The mean loss of the rows that are held out."""
        return self.held_out.value(self.outside(theta))

    def run(self, theta, rng, announced, watch):
        """Descend from a theta outside; the result, inside, and the duality gap there.

        ``announced(step)`` is the method's step, as something that is told of each; ``watch`` is that of ``descend``.
        """
        estimator, objective = self.estimator, self.objective
        method = self._method(rng)
        method = method._replace(step=announced(method.step))
        with objective.rows.threads():
            result = descend(
                method,
                objective,
                self.start(theta),
                tol=estimator.tol,
                max_iter=estimator.max_iter,
                validate=self.held_out and self.validate,
                patience=estimator.n_iter_no_change if estimator.early_stopping else inf,
                watch=watch,
            )
            direction = None if result.status in ASKED_FOR else separating_direction(objective, result.point)
            if direction is not None:
                result = result._replace(status="separable", direction=self._terms(direction))
            elif result.status not in ASKED_FOR:
                theta = of_least_norm(objective, result.point.theta)
                result = result._replace(point=result.point._replace(theta=theta))
            settled = result.excess if result.status == "converged" else 0.0
            gap = duality_gap(*self._about_the_means(result.point), rng, estimator.tol, settled)
            if result.status == "converged" and self._is_doubtful(result.point, gap):
                result = result._replace(status="unproven")
            return result, gap

    def _about_the_means(self, point):
        """J and a point, for a proof: beside a large offset the rounding in a sum of residuals is no small matter."""
        if self.estimator.solver not in TEXTBOOK:  # that is where it has descended
            return self.objective, point
        centred, theta = self.objective.centred(point.theta)
        return centred, centred.at(theta)

    def _is_doubtful(self, point, gap):
        """Whether the estimate of the excess at a point may have missed what the gap allows."""
        objective = self.objective
        goal = target(objective, point, self.estimator.tol)
        if objective.penalty.l1:
            return gap > max(UNPROVEN * point.value, goal)
        if not objective.penalty.l2 or gap <= UNCLEAR * goal or not is_dense(objective):
            return False
        return objective.precision == "float32" or metric_at(objective, point.theta).hessian.is_singular

    def _terms(self, direction):
        """A direction inside as pairs of an index (feature, score) and a coefficient, those with most weight first."""
        W = self.outside(direction)[:-1]
        weight = np.abs(W) * self._given.spread()[:, None]
        order = [divmod(flat, W.shape[1]) for flat in weight.argsort(axis=None)[::-1].tolist()]
        return [(index, float(W[index])) for index in order if weight[index] > NO_WEIGHT * weight.max()]

    def _method(self, rng):
        estimator = self.estimator
        match estimator.solver:
            case "gd":
                return gradient.batch(estimator.learning_rate)
            case "nesterov":
                return gradient.nesterov(estimator.learning_rate)
            case "sgd":
                return stochastic.minibatch(estimator.learning_rate, estimator.batch_size, rng)
            case _ if is_dense(self.objective):
                return newton.sketch(estimator.tol, rng)
            case _:
                return truncated.truncated(estimator.tol)
