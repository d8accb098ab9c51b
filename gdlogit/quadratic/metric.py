"""The metric of the descent: a model of J around a point, and the step to the model's minimum.

    J(theta + d)  ~  J(theta) + g^T d + 1/2 d^T M d + l1 |W + D|_1 - l1 |W|_1,    M ~ Hessian, on all rows or a sample

``step_and_fall(point)`` gives the d that minimises this model, and the fall of the model, an estimate of J - min J.
``updated(ds, dg)`` is the metric improved by a step ds that was taken: M ds becomes the change dg of the gradient.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..bounds import BoxPenalty
from ..objective import Overflow, overflow_raised
from ..penalty import L1Penalty, lacking
from .box import minimise_in_box
from .curvature import Cholesky, ConjugateGradients, Jacobi, Kronecker, without_shift
from .l1_metric import L1Metric, formed_l1_metric, l1_metric
from .proximal import Proximal
from .secant import Secant

__all__ = [
    "LocalModel",
    "NewtonMetric",
    "Solved",
    "formed_metric",
    "metric_at",
    "metric_of",
    "products_at",
    "preconditioner_at",
]

PRECONDITIONER_ROWS_PER_FEATURE, PRECONDITIONER_ROWS = 10, 1000  # a Kronecker product is made of at least so many


class NewtonMetric(NamedTuple):
    """No l1 penalty: M factorised, with the secant pairs of L-BFGS."""

    hessian: Cholesky | ConjugateGradients
    pairs: tuple = ()

    def step_and_fall(self, point):
        """The step -M^-1 g, and half the squared Newton decrement g^T M^-1 g / 2."""
        direction = -self.solve(point.gradient)
        return direction, -0.5 * float(np.vdot(point.gradient, direction))

    @property
    def is_singular(self):
        """Whether rounding may hide that some direction has no curvature."""
        return self.hessian.is_singular

    def excess(self, point):
        """J - min J, as the Hessian estimates it."""
        return self.hessian.decrement(point.gradient)

    def preconditioner_excess(self, point):
        """J - min J, as the preconditioner of conjugate gradients estimates it."""
        return next(self.hessian.iterates(point.gradient)).estimate

    def solve(self, g):
        """M^-1 g."""
        return Secant(self.hessian, self.pairs).solve(g)

    def updated(self, ds, dg):
        """With one more pair, where it has positive curvature."""
        pairs = Secant(self.hessian, self.pairs).with_step(ds, dg).pairs
        return self if pairs is self.pairs else self._replace(pairs=pairs)


class Solved(NamedTuple):
    """A metric whose step from a point is known already: the step, and the excess at the point."""

    direction: np.ndarray
    fall: float
    is_singular = False

    def step_and_fall(self, point):
        """The step, and how far the model falls."""
        return self.direction, self.fall

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.fall

    preconditioner_excess = excess


class BoxMetric(NamedTuple):
    """A metric with bounds on the coefficients, with or without an l1 penalty: M as a matrix, improved by BFGS.

    M has no curvature where all coefficients of a feature without l2 move together: ``is_flat`` marks such rows of
    theta. A kink of l1 or a bound ends such a direction, and the model must not have any other curvature there.
    """

    hessian: np.ndarray
    penalty: BoxPenalty
    is_flat: np.ndarray

    def step_and_fall(self, point):
        """The step to the minimum of the model within the bounds, and the model's fall; infinite where not found."""
        shape = point.theta.shape
        arrays = point.gradient, point.theta, self.penalty.l1_strengths(shape), *self.penalty.box(shape)
        flat = (array.ravel() for array in arrays)
        x, fall, converged = minimise_in_box(self.hessian, *flat, self._definite, point.value)
        return x.reshape(shape) - point.theta, float(fall) if converged else np.inf

    @property
    def is_singular(self):
        """Whether rounding may hide that some direction has no curvature."""
        return Cholesky(self._definite(np.ones(len(self.hessian), dtype=bool))).is_singular

    def _definite(self, movable):
        """M for the movable parameters, with curvature along the flat directions in which all parameters move."""
        some = np.flatnonzero(movable)
        M = self.hessian[np.ix_(some, some)]
        shape = len(self.is_flat), len(self.hessian) // len(self.is_flat)
        moves = self.is_flat & movable.reshape(shape).all(axis=1)
        if shape[1] > 1 and moves.any():
            place = np.cumsum(movable).reshape(shape)[moves] - 1  # of each entry among the movable ones
            curvature = np.einsum("jcjc->j", self.hessian.reshape(*shape, *shape))[moves] / shape[1] ** 2
            M[place[:, :, None], place[:, None, :]] += curvature[:, None, None]
        return M

    def excess(self, point):
        """J - min J, estimated by the fall of the model."""
        return self.step_and_fall(point)[1]

    def updated(self, ds, dg):
        """The metric with BFGS's update, as ``L1Metric`` makes it."""
        return self._replace(hessian=L1Metric(self.hessian, self.penalty).updated(ds, dg).hessian)


def metric_at(objective, point):
    """The metric of all the objective's rows around a point."""
    penalty = objective.penalty
    if not penalty.is_smooth and lacking(penalty, L1Penalty):
        return proximal_metric(objective, point.theta)
    if objective.forms_hessian:
        return formed_metric(objective, point.theta)
    if not lacking(penalty, BoxPenalty):
        return Proximal(None, penalty)
    z = objective.scores(point.theta)
    if not penalty.is_smooth:
        return l1_metric(objective, point, z)
    return NewtonMetric(products_at(objective, objective.curvature(z), preconditioner_at(objective, z)))


def formed_metric(objective, theta):
    """The metric of all the objective's rows at theta, with a formed Hessian, or its factors G and B."""
    shared, curvature = objective.shared_scores(theta), objective.penalty_curvature
    if shared is None or not objective.penalty.is_smooth or (curvature != curvature[:, :1]).any():
        return metric_of(objective, objective.hessian(theta))
    gram, coupling = objective.factors_of_shared(shared)
    shift = np.trace(coupling) / len(coupling) ** 2  # as ``without_shift``
    factors = gram, coupling + shift, curvature[:, 0]
    return NewtonMetric(Kronecker(*factors, exact=True, eps=objective.hessian_rounding))


def metric_of(objective, hessian):
    """The metric that a Hessian makes."""
    penalty = objective.penalty
    if not lacking(penalty, BoxPenalty):
        return BoxMetric(hessian, penalty, objective.penalty_curvature[:, 0] == 0)
    if not penalty.is_smooth:
        return formed_l1_metric(objective, hessian)
    return NewtonMetric(Cholesky(without_shift(hessian, objective.shape, slice(None)), objective.hessian_rounding))


def proximal_metric(objective, theta):
    """The metric at theta for a penalty that has no more than a value and a prox."""
    if objective.n_parameters > objective.formed_parameters:
        return Proximal(None, objective.penalty)
    return Proximal(without_shift(objective.hessian(theta), objective.shape, slice(None)), objective.penalty)


class LocalModel:
    """J around a point: the metric of all rows there, made on first use, and the step to the model's minimum.

    ``sample`` is the objective on the random rows that the descent has copied, or None. A proof may use these rows.
    ``rough`` is the metric in which the descent has arrived, or None.
    """

    def __init__(self, objective, point, metric=None, sample=None, rough=None):
        self.objective, self.point, self.sample, self.rough = objective, point, sample, rough
        if metric is not None:
            self.metric = metric

    @classmethod
    def about_means(cls, objective, point):
        """The model with features measured from about their means, because a large mean would hide small slopes."""
        centred, theta = objective.centred(point.theta)
        return cls(objective, point) if centred is objective else cls(centred, centred.at(theta))

    def moved(self, theta):
        """The same model at another theta with the same scores."""
        return LocalModel(self.objective, self.point._replace(theta=theta), self.metric, self.sample)

    def by_products(self, objective, enough=0.0):
        """The same for some of the rows, or all, whose Hessian is known by its products.

        The rough metric preconditions a solve, which ends where the excess is at most ``enough``.
        """
        c = objective.curvature(objective.scores(self.point.theta))
        return LocalModel(objective, self.point, NewtonMetric(products_at(objective, c, self.rough, enough=enough)))

    @cached_property
    def metric(self):
        """The metric of all rows at the point."""
        return metric_at(self.objective, self.point)

    @cached_property
    def step(self):
        """The step to the minimum of the model, and how far the model falls."""
        return self.metric.step_and_fall(self.point)

    @cached_property
    def excess(self):
        """J - min J, estimated by the fall of the model; infinite where hardly a row has any curvature left."""
        try:
            with overflow_raised():
                return self.metric.excess(self.point)
        except Overflow:
            return np.inf


def preconditioner_at(objective, z):
    """The preconditioner at scores z: the Hessian's diagonal or, for several classes and few features, a Kronecker."""
    p, k = objective.shape
    if k == 1 or p > objective.formed_parameters or not objective.penalty.is_smooth:
        return Jacobi(objective.hessian_diagonal(objective.curvature(z)))
    size = min(
        objective.n_rows, max(PRECONDITIONER_ROWS_PER_FEATURE * p, PRECONDITIONER_ROWS), objective.largest_sample
    )
    rows = np.arange(size) * objective.n_rows // size
    sample, c = objective.on(rows), objective.loss.curvature(z[rows])
    return Kronecker(sample.gram(c), sample.coupling(c), objective.penalty.curvature(np.empty(p)))


def products_at(objective, c, preconditioner, **limits):
    """The Hessian where the loss has curvature c, known by its products and a rough metric.

    ``limits`` are those of ``ConjugateGradients``.
    """
    least = float(objective.penalty_curvature[:-1].min())

    def bound(r):
        """A bound on 1/2 r^T H^-1 r, because H has at least the penalty's curvature; the intercept is left out."""
        return float(np.vdot(r[:-1], r[:-1])) / (2 * least) if least else np.inf

    return ConjugateGradients(objective.hessian_product(c), preconditioner, bound, **limits)
