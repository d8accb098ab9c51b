"""The objective J over rows: value, gradient and Hessian.

    J(theta) = 1/S sum_i s_i loss(y_i, W^T x_i + b + o_i) + R(theta),    S = sum_i s_i

Rows know the linear layer, the loss knows scores, and the penalty R knows theta; this file puts them together by the
chain rule. ``gradient`` is the gradient of J's smooth part, which is all of J unless R has an l1 term. Shapes: theta
and gradient (p + 1, k), intercept last; Hessians (P, P) over theta flattened, P = (p + 1) k.
"""

from functools import cached_property, partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from . import summands
from .penalty import free_of, penalty_in

__all__ = ["Objective", "Overflow", "Point", "at_random", "overflow_raised", "tried"]

FORMED_PARAMETERS = 1500  # up to this number of parameters, the Hessian is formed and factorised
# With l1, up to the number of rows; but in any case up to this number, since a Newton step gives the sharpest minimum.
ALWAYS_FORMED_PARAMETERS = 200
ROWS_PER_SAMPLED_ROW = 4  # rows / rows of the largest sample that serves as a metric
FILLED_ENTRIES = 2**21  # of rows that are copied at a time for products with all rows: 16 MB


class Point(NamedTuple):
    """A theta, with J and dJ there."""

    theta: np.ndarray
    value: float
    gradient: np.ndarray


class Overflow(ArithmeticError):
    """A number is beyond what its floating-point type can hold."""


def at_random(size, n_rows, rng):
    """The numbers of ``size`` random rows, in order: one from each of ``size`` stretches of about the same length.

    So a sample of rows that are sorted, by class or by time, has its share of every stretch.
    """
    ends = np.arange(size + 1) * n_rows // size
    return rng.integers(ends[:-1], ends[1:])


def overflow_raised():
    """A context in which an overflow raises ``Overflow``, because a FloatingPointError may be the caller's own."""

    def raise_it(*_):
        raise Overflow

    return np.errstate(over="call", invalid="call", call=raise_it)


def tried(objective, theta):
    """J and dJ at theta. Where they overflow, as after a far too long step, J is infinite."""
    try:
        with overflow_raised():
            return objective.at(theta)
    except Overflow:
        return Point(theta, np.inf, theta)


class Objective:
    """J for given rows, loss and penalty.

    ``passes`` counts the passes over the rows. ``resolution`` is the relative rounding of J: an excess below
    resolution times J cannot be seen. ``total`` is the S by which J divides; where the rows are some of the rows of
    another objective, it may be the S of all those rows.
    """

    def __init__(self, rows, loss, penalty, total=None, formed_parameters=FORMED_PARAMETERS):
        self.rows, self.loss, self.penalty = rows, loss, penalty
        self.total = rows.total if total is None else total
        self.n_rows = rows.shape[0]
        self.shape = rows.shape[1], loss.n_outputs
        self.n_parameters = self.shape[0] * self.shape[1]
        self.resolution = 10 * float(np.finfo(rows.dtype).eps)
        self.formed_parameters = formed_parameters
        self.passes = 0

    def _over(self, rows, total=None):
        """The same objective over other rows."""
        return Objective(rows, self.loss, self.penalty, total, self.formed_parameters)

    @property
    def forms_hessian(self):
        """Whether the Hessian is formed: not for very many parameters and, with l1, not for many more than rows."""
        is_wide = self.n_parameters > max(self.n_counted, ALWAYS_FORMED_PARAMETERS)
        return self.n_parameters <= self.formed_parameters and (self.penalty.is_smooth or not is_wide)

    @property
    def sample_size(self):
        """The size of the largest sample of rows whose Hessian serves as a metric."""
        return min(self.n_rows // ROWS_PER_SAMPLED_ROW, self.largest_sample)

    @cached_property
    def largest_sample(self):
        """How many rows may be copied."""
        return self.rows.largest_sample

    @property
    def precision(self):
        """The name of the floating-point type."""
        return "float32" if self.rows.dtype == np.float32 else "float64"

    @property
    def n_counted(self):
        """How many rows have a weight."""
        return self.rows.n_counted

    @property
    def has_intercept(self):
        """Whether each row carries a constant feature."""
        return bool(self.rows.constant)

    @property
    def has_offset(self):
        """Whether an offset is added to the rows' scores, so that scores are affine in theta, not linear."""
        return self.rows.has_offset

    def scores_of_zero(self):
        """Scores that are 0 for every row, shape (n, k)."""
        return self.rows.repeated(np.zeros((1, self.shape[1])))

    @property
    def centre(self):
        """The point from which features are measured, shape (p,)."""
        return self.rows.centre

    def spread(self):
        """The root of the mean square of each feature, shape (p,)."""
        return self.rows.spread()

    def threads(self):
        """Hold the cores for the length of a fit."""
        return self.rows.threads()

    def at(self, theta):
        """J and its gradient at theta, in one pass."""
        self.passes += 1
        return self._point(theta, *self.rows.sum(partial(summands.value_and_gradient, self.loss, theta)))

    def value(self, theta):
        """J at theta, without its gradient, in half a pass."""
        self.passes += 0.5
        (loss,) = self.rows.sum(partial(summands.value, self.loss, theta))
        return loss / self.total + self.penalty.value(theta)

    def scores(self, theta):
        """The scores z of every row, shape (n, k), in half a pass; without a pass where all rows share one score."""
        return self._of_each_row(summands.scores, theta)

    def score_changes(self, direction):
        """The change dz of the scores along a direction, shape (n, k), in half a pass.

        A step alpha changes the scores to z + alpha dz, so further steps along the direction cost no pass.
        """
        return self._of_each_row(summands.score_changes, direction)

    def _of_each_row(self, f, theta):
        shared = self.rows.shared_scores(theta)
        if shared is not None:
            return self.rows.repeated(shared)
        self.passes += 0.5
        return self.rows.each(partial(f, theta))

    def at_scores(self, theta, z):
        """J and its gradient at theta, whose scores are z, in half a pass."""
        self.passes += 0.5
        return self._point(theta, *self.rows.sum(partial(summands.value_and_gradient_at, self.loss), z))

    def value_at_scores(self, theta, z):
        """J at theta, whose scores are z, without a pass."""
        (loss,) = self.rows.sum(partial(summands.value_at, self.loss), z)
        return loss / self.total + self.penalty.value(theta)

    def slope_along(self, theta, direction, change, z):
        """The slope of J's smooth part at theta with scores z, along a direction that changes z by a ``change``."""
        (slope,) = self.rows.sum(partial(summands.slope_along, self.loss), change, z)
        return float(slope / self.total + np.vdot(direction, self.penalty.gradient(theta)))

    def _point(self, theta, loss, gradient):
        value = loss / self.total + self.penalty.value(theta)
        return Point(theta, value, gradient / self.total + self.penalty.gradient(theta))

    def hessian(self, theta):
        """The Hessian of J's smooth part at theta."""
        p, k = self.shape
        shared = self.shared_scores(theta)
        if shared is not None:
            return self.hessian_of_shared(shared)
        (hessian,) = self.rows.sum(partial(summands.hessian, self.loss, theta), products=p * k**2)
        return self._with_penalty(hessian)

    def shared_scores(self, theta):
        """The scores (1, k) of all rows at theta, for several scores that all rows share; else None."""
        return self.rows.shared_scores(theta) if self.shape[1] > 1 else None

    def hessian_of_shared(self, shared):
        """The Hessian where all rows have the same scores, shape (1, k), and so the same curvature."""
        return self._with_penalty(self.total * np.kron(*self.factors_of_shared(shared)))

    def factors_of_shared(self, shared):
        """G (p + 1, p + 1) and B (k, k): where all rows have the same scores, the Hessian of the loss is G (x) B."""
        (moment,) = self.rows.sum(summands.second_moment, products=self.shape[0])
        return moment / self.total, self.loss.bend(self.loss.curvature(shared), np.eye(self.shape[1]))

    def _with_penalty(self, hessian):
        hessian /= self.total
        np.einsum("ii->i", hessian)[:] += self.penalty_curvature.ravel()
        return hessian

    @cached_property
    def penalty_curvature(self):
        """The diagonal of the Hessian of the penalty's smooth part, in theta's shape."""
        return self.penalty.curvature(np.zeros(self.shape))

    @cached_property
    def hessian_rounding(self):
        """The relative rounding of the Hessian's entries; the curvature of a penalty on all features has float64's."""
        has_unpenalised = free_of(self.penalty, self.shape[0] - 1)[:-1].any()
        return float(np.finfo(self.precision if has_unpenalised else float).eps)

    def hessian_at(self, c):
        """The Hessian of J's smooth part where the loss has curvature c."""
        p, k = self.shape
        (hessian,) = self.rows.sum(summands.hessian_at, c, products=p * k**2)
        return self._with_penalty(hessian)

    def secant_curvature(self, z):
        """The curvature of the rows at scores z; for rows on the wrong side, which have hardly any, a secant's."""
        return self.rows.each(partial(summands.secant_curvature, self.loss), z)

    @property
    def work(self):
        """The cost of a product of all rows with one column, in multiplications."""
        return self.rows.work

    @property
    def is_in_memory(self):
        """Whether all rows are arrays in memory."""
        return self.rows.copies_features

    def row_products(self, factors):
        """The products x_i^T diag(factors) x_j of all rows, shape (n, n), in float64, for factors (p,) above 0."""
        roots, products = np.sqrt(factors), np.zeros((self.n_rows, self.n_rows))
        for some, X in self._features_in_double():
            X = X * roots[some]
            products += X @ X.T
        return products

    def scores_in_double(self, W):
        """X W in float64, shape (n, k), for coefficients W (p, k) without intercepts, in half a pass."""
        self.passes += 0.5
        return sum(X @ W[some] for some, X in self._features_in_double())

    def _features_in_double(self):
        """Yield the numbers of some features, and these features of all rows in float64: few at a time."""
        n, p = self.n_rows, self.shape[0] - 1
        for ends in pairwise(np.linspace(0, p, 1 + -(-n * p // FILLED_ENTRIES), dtype=int).tolist()):
            some = slice(*ends)
            yield some, self.rows.filled_columns(some).astype(float, copy=False)

    def columns(self, numbers):
        """Some columns of [X, 1], in order, as an ndarray in float64."""
        p = self.shape[0] - 1
        X = self.rows.filled_columns(numbers[numbers < p]).astype(float, copy=False)
        return np.hstack([X, np.full((self.n_rows, np.count_nonzero(numbers == p)), float(self.rows.constant))])

    def transposed(self, u):
        """X^T u, shape (p + 1, k), for u (n, k), in half a pass."""
        self.passes += 0.5
        return self.rows.sum(summands.transposed, u)[0]

    def weighed(self, c):
        """An array with an entry for each row, each times the share of the row's weight in the total."""
        return self.rows.each(summands.weighed, c) / self.total

    def coupling_at(self, z):
        """The mean B (k, k) of the rows' Hessians in their scores, at scores z."""
        return self.rows.sum(partial(summands.coupling_at, self.loss), z)[0] / self.total

    def curvature(self, z):
        """The loss's second derivative at every row's scores z, in the form that ``loss.bend`` takes."""
        return self.rows.map(self.loss.curvature, z)

    def curvature_along(self, direction, change, z):
        """The curvature d^T H d of J's smooth part along a direction d that changes scores z by a ``change``."""
        (curvature,) = self.rows.sum(partial(summands.curvature_along, self.loss), change, z)
        return float(curvature / self.total + np.vdot(direction, self.penalty.gradient(direction)))

    def coupling(self, c):
        """The mean B (k, k) of the rows' Hessians in their scores: the Hessian's block of the intercepts."""
        return self.rows.sum(partial(summands.coupling, self.loss), c)[0] / self.total

    def gram(self, c):
        """The mean G (p + 1, p + 1) of x x^T, each row weighted by the trace of its Hessian in its scores."""
        gram, total = self.rows.sum(partial(summands.gram, self.loss), c)
        return gram / total

    def hessian_diagonal(self, c):
        """The diagonal of the Hessian where the loss has curvature c, in theta's shape."""
        self.passes += 1
        (diagonal,) = self.rows.sum(partial(summands.hessian_diagonal, self.loss), c)
        return diagonal / self.total + self.penalty_curvature

    def hessian_product(self, c, rough=False):
        """The function v -> H v, with H the Hessian where the loss has curvature c; each call costs one pass.

        A ``rough`` product is computed in float32 where the rows are dense.
        """
        rows = self.rows_in_float32 if rough else self.rows

        def product(v):
            self.passes += 1
            near, power = (v, 0) if rows.dtype == float else summands.near_one(v)
            (Hv,) = rows.sum(partial(summands.hessian_product, self.loss, near), c)
            return (np.ldexp(Hv, power) if power else Hv) / self.total + self.penalty.gradient(v)

        return product

    @cached_property
    def rows_in_float32(self):
        """The rows in float32, measured as here: a copy if they are dense and in float64."""
        return self.rows.in_float32() if self.is_in_memory else self.rows

    @property
    def has_least_squares(self):
        """Whether ``least_squares`` works for this loss and these rows."""
        return self.shape[1] == 1 and self.rows.has_columns

    def least_squares(self, z, features, constant):
        """The loss around scores z as a sum of squares, |u + F d|^2 / 2: u, and the result of ``Rows.columns``.

        F^T F is the Hessian and F^T u the gradient; d is the change of the parameters of ``features`` and of a constant
        feature.
        """
        self.passes += 1
        f = partial(summands.least_squares, self.loss, self.total)
        root, u = np.ascontiguousarray(self.rows.each(f, z).T)
        return u, *self.rows.columns(features, root, constant)

    @property
    def is_sparse(self):
        """Whether the rows are CSR in memory."""
        return self.is_in_memory and self.rows.is_sparse

    @property
    def is_wide(self):
        """Whether there are more features than rows, and a copy of some features can be made."""
        return self.is_in_memory and self.shape[0] > self.n_counted

    def restricted(self, features, rough=False):
        """J as a function of the coefficients of some features and the intercept, over a copy of these features.

        A copy of dense rows is in float32 where ``rough`` products will do.
        """
        some = self._over(self.rows.with_measured(features, rough), self.total)
        some.penalty = self.penalty.restricted(features)
        return some

    def leverages(self, root):
        """B_i = (I (x) x_i)^T A A^T (I (x) x_i) of every row, (n, k, k), for a root A of the inverse Hessian."""
        return self.rows.each(partial(summands.leverage, root))

    def residuals(self, z):
        """The derivative dz of every row's loss in its scores z, (n, k)."""
        return self.rows.each(partial(summands.residuals, self.loss), z)

    @property
    def n_classes(self):
        """The number of classes: two where there is one score."""
        return max(2, self.loss.n_outputs)

    @cached_property
    def separation_value(self):
        """Without a penalty, a J below this value proves that every row is on its class's side: J has no minimum.

        With an offset the value is 0, which proves nothing, because the offset alone may put every row on its side. It
        is 0, too, where labels are distributions, because such a row has no side.
        """
        if self.has_offset or not (self.penalty.is_none and self.loss.is_labelled):
            return 0.0
        return self.rows.smallest_weight * np.log(2) / self.total

    def stored(self):
        """The same objective over the rows as stored, not centred, so that a matrix of sparse rows is sparse."""
        return self._over(self.rows.stored(), self.total)

    def theta_in(self, other, theta):
        """The theta of the same model for another objective of the same rows, measured from another centre."""
        return other.rows.enter(self.rows.leave(theta))

    def centred(self, theta):
        """The same objective and the same theta, with features measured from about their means."""
        rows = self.rows.centred()
        if rows is self.rows:
            return self, theta
        centred = self._over(rows, self.total)
        if np.ndim(self.rows.unit) == 0:
            centred.penalty = penalty_in(self.penalty, rows.unit)
        return centred, self.theta_in(centred, theta)

    def without_constants(self, theta):
        """A theta with the same scores and a coefficient of 0 on features that are constant on these rows."""
        return self.rows.without_constants(theta)

    def on(self, index):
        """The same objective on the rows at ``index`` alone."""
        return self._over(self.rows.take(index))

    def part(self, size, rng, sample=None):
        """What ``size`` random rows contribute to J's sum; at most as many rows as may be copied.

        Where a ``sample`` of enough rows is given, the rows are taken from it without a copy, up to twice as many.
        """
        if size >= self.n_rows:
            return self
        size = min(size, self.largest_sample)
        if sample is not None and sample.n_rows >= size:
            rows = sample.rows.every(sample.n_rows // size)
        else:
            rows = self.rows.take(at_random(size, self.n_rows, rng))
        return self._over(rows, self.total)

    def drawn(self, index, times):
        """What the rows at ``index`` contribute to J's sum; and J as the rows estimate it, each for several others."""
        rows = self.rows.take(index)
        return self._over(rows, self.total), self._over(rows.reweighted(times))

    def without(self, rows):
        """What the rows other than the given ones contribute to J's sum."""
        return self._over(self.rows.without(rows), self.total)

    def batches(self, size, rng):
        """The rows in a random order, ``size`` at a time: an objective for each batch, whose mean is J."""
        order = rng.permutation(self.n_rows)
        for start in range(0, self.n_rows, size):
            index = order[start : start + size]
            rows = self.rows.take(index)
            yield self._over(rows, self.total * len(index) / self.n_rows)
