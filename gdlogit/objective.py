"""The objective J over rows: value, gradient and Hessian.

    J(theta) = 1/S sum_i s_i loss(y_i, W^T x_i + b + o_i) + R(theta),    S = sum_i s_i

Rows know the linear layer, the loss knows scores, the penalty R knows theta; this file multiplies them by the chain
rule. ``gradient`` is that of J's smooth part, which is all of J unless R has an l1 term. Shapes: theta and gradient
(p + 1, k), intercept last; Hessians (P, P) over theta flattened, P = (p + 1) k.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from . import summands
from .penalty import penalty_in

__all__ = ["Objective", "Overflow", "Point", "at_random", "overflow_raised", "tried"]

FORMED_PARAMETERS = 1500  # up to so many, the Hessian is formed and factorised
ALWAYS_FORMED_PARAMETERS = 200  # with l1, as many as rows; but so many in any case, for nothing ends more sharply


class Point(NamedTuple):
    """A theta, with J and dJ there."""

    theta: np.ndarray
    value: float
    gradient: np.ndarray


class Overflow(ArithmeticError):
    """A number is beyond what its floating-point type can hold."""


def at_random(size, n_rows, rng):
    """The numbers of so many random rows, in order: one of each of as many stretches of about the same length.

    A sample of rows that come sorted, by class or by time, then has its share of every part of them.
    """
    ends = np.arange(size + 1) * n_rows // size
    return rng.integers(ends[:-1], ends[1:])


def overflow_raised():
    """Inside, an overflow is raised as ``Overflow``: a FloatingPointError may be one of the caller's own."""

    def raise_it(*_):
        raise Overflow

    return np.errstate(over="call", invalid="call", call=raise_it)


def tried(objective, theta):
    """J and dJ at theta; J is infinite where it overflows, as after a step that is much too long."""
    try:
        with overflow_raised():
            return objective.at(theta)
    except Overflow:
        return Point(theta, np.inf, theta)


class Objective:
    """J for given rows, loss and penalty.

    ``passes`` counts the passes over the rows. ``resolution`` is the relative rounding of J: an excess below
    resolution J cannot be seen. ``total`` is the S that J divides by, that of the rows unless they are a part.
    """

    def __init__(self, rows, loss, penalty, total=None, formed_parameters=FORMED_PARAMETERS):
        self.rows, self.loss, self.penalty = rows, loss, penalty
        self.total = rows.total if total is None else total
        self.n_rows = rows.shape[0]
        self.shape = rows.shape[1], loss.n_outputs
        self.n_parameters = self.shape[0] * self.shape[1]
        self.resolution = 10 * float(np.finfo(rows.dtype).eps)
        self.largest_sample = rows.largest_sample
        self.formed_parameters = formed_parameters
        self.passes = 0

    def _over(self, rows, total=None):
        """The same objective over other rows."""
        return Objective(rows, self.loss, self.penalty, total, self.formed_parameters)

    @property
    def forms_hessian(self):
        """Whether the Hessian is formed: not of very many parameters nor, with l1, of many and more than rows."""
        is_wide = self.n_parameters > max(self.n_counted, ALWAYS_FORMED_PARAMETERS)
        return self.n_parameters <= self.formed_parameters and (self.penalty.is_smooth or not is_wide)

    @property
    def precision(self):
        """The name of the floating-point type."""
        return self.rows.dtype.name

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
        """Whether something is added to the rows' scores, so that they are not linear in theta."""
        return self.rows.has_offset

    def scores_of_zero(self):
        """Scores that are 0 for every row, shape (n, k)."""
        return self.rows.repeated(np.zeros((1, self.shape[1])))

    @property
    def centre(self):
        """What the features are measured from, shape (p,)."""
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
        """The scores z of every row, shape (n, k), in half a pass; in none where all rows have the same."""
        return self._of_each_row(summands.scores, theta)

    def score_changes(self, direction):
        """What a direction changes in the scores, shape (n, k), in half a pass.

        Along a line, with scores z + alpha dz for the changes dz, no step costs a pass.
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

    def _point(self, theta, loss, gradient):
        value = loss / self.total + self.penalty.value(theta)
        return Point(theta, value, gradient / self.total + self.penalty.gradient(theta))

    def hessian(self, theta):
        """The Hessian of J's smooth part at theta."""
        p, k = self.shape
        shared = self.rows.shared_scores(theta) if k > 1 else None
        if shared is not None:
            return self.hessian_of_shared(theta, shared)
        (hessian,) = self.rows.sum(partial(summands.hessian, self.loss, theta), products=p * k**2)
        return self._with_penalty(hessian, theta)

    def hessian_of_shared(self, theta, shared):
        """The same where all rows have the same scores, shape (1, k), and so the same curvature."""
        (moment,) = self.rows.sum(summands.second_moment, products=self.shape[0])
        bend = self.loss.bend(self.loss.curvature(shared), np.eye(self.shape[1]))
        return self._with_penalty(np.kron(moment, bend), theta)

    def _with_penalty(self, hessian, theta):
        hessian /= self.total
        np.einsum("ii->i", hessian)[:] += self.penalty.curvature(theta).ravel()
        return hessian

    def hessian_at(self, c):
        """The Hessian of J's smooth part where the loss has curvature c."""
        p, k = self.shape
        (hessian,) = self.rows.sum(summands.hessian_at, c, products=p * k**2)
        hessian /= self.total
        np.einsum("ii->i", hessian)[:] += self.penalty.curvature(np.empty(self.shape)).ravel()
        return hessian

    def secant_curvature(self, z):
        """The same as ``curvature``, but of rows on the wrong side, which have hardly any, a mean on the way back."""
        return self.rows.each(partial(summands.secant_curvature, self.loss), z)

    def curvature(self, z):
        """The loss's second derivative at every row's scores z, in the form that ``loss.bend`` takes."""
        return self.rows.map(self.loss.curvature, z)

    def total_curvature(self, c):
        """The sum of the traces of the rows' Hessians in their scores, whatever the rows' weights."""
        return float(self.rows.map(partial(summands.trace, self.loss), c).sum())

    def curvature_along(self, direction, change, z):
        """The curvature d^T H d of J's smooth part along a direction d that changes scores z by a ``change``."""
        (curvature,) = self.rows.sum(partial(summands.curvature_along, self.loss), change, z)
        return float(curvature / self.total + np.vdot(direction, self.penalty.gradient(direction)))

    def coupling(self, c):
        """The mean B (k, k) of the rows' Hessians in their scores; with an intercept, the Hessian's entries there."""
        return self.rows.sum(partial(summands.coupling, self.loss), c)[0] / self.total

    def gram(self, c):
        """The mean G (p + 1, p + 1) of x x^T over the rows, each counting by the trace of its Hessian in its scores."""
        gram, total = self.rows.sum(partial(summands.gram, self.loss), c)
        return gram / total

    def hessian_diagonal(self, c):
        """The diagonal of the Hessian where the loss has curvature c, in theta's shape."""
        self.passes += 1
        (diagonal,) = self.rows.sum(partial(summands.hessian_diagonal, self.loss), c)
        return diagonal / self.total + self.penalty.curvature(np.empty(self.shape))

    def hessian_product(self, c):
        """The function v -> H v, H the Hessian where the loss has curvature c; one pass each."""

        def product(v):
            self.passes += 1
            (Hv,) = self.rows.sum(partial(summands.hessian_product, self.loss, v), c)
            return Hv / self.total + self.penalty.gradient(v)

        return product

    @property
    def has_least_squares(self):
        """Whether ``least_squares`` can be asked for."""
        return self.shape[1] == 1 and self.rows.has_columns

    def least_squares(self, z, features, constant):
        """The loss around scores z as a sum of squares, |u + F d|^2 / 2: u, and what ``Rows.columns`` gives.

        F^T F is the Hessian, F^T u the gradient, d the change of some features' parameters and of a constant feature's.
        """
        self.passes += 1
        f = partial(summands.least_squares, self.loss, self.total)
        root, u = np.ascontiguousarray(self.rows.each(f, z).T)
        return u, *self.rows.columns(features, root, constant)

    def leverages(self, root):
        """B_i = (I (x) x_i)^T A A^T (I (x) x_i) of every row, (n, k, k), for a root A of the inverse Hessian."""
        return self.rows.each(partial(summands.leverage, root))

    def residuals(self, z):
        """The derivative dz of every row's loss in its scores z, (n, k)."""
        return self.rows.each(partial(summands.residuals, self.loss), z)

    def smoothness(self):
        """L: no eigenvalue of any Hessian of J is larger. The loss's largest curvature times that of the rows."""

        def second_moment(v):
            return self.rows.sum(partial(summands.second_moment_product, v[:, None]))[0][:, 0]

        n_features = self.shape[0]
        operator = LinearOperator((n_features, n_features), matvec=second_moment, dtype=float)
        start = np.random.default_rng(0).standard_normal(n_features)
        if not second_moment(start).any():  # no feature but zeros, which ARPACK does not take
            return self.penalty.largest_curvature
        (largest,) = eigsh(operator, k=1, v0=start, return_eigenvectors=False)
        return self.loss.max_curvature * largest / self.total + self.penalty.largest_curvature

    def expected_smoothness(self, batch_size):
        """The smoothness of a random batch of rows: L for all of them, max_i L_i for one, in between for others."""
        n = self.n_rows
        b = min(batch_size, n)
        (largest_row,) = self.rows.fold(summands.largest_row, max)
        of_a_row = self.loss.max_curvature * largest_row * n / self.total + self.penalty.largest_curvature
        share = (n - b) / (b * max(n - 1, 1))
        return share * of_a_row + (1 - share) * self.smoothness()

    # --- For proofs -------------------------------------------------------------------------------------------------

    def tilt(self, theta, u):
        """The dual point where a step u tilts the probabilities at theta: see ``duality``.

        S KL(a' || a); 1/S sum_i s_i x_i (a_i - a'_i)^T; and a mask of the rows that leave [0, 1], None where none does.
        Its passes are counted by the proof, for all rows, of which these may be some.
        """
        kl, change, n_outside = self.rows.sum(partial(summands.tilt, self.loss, theta, u))
        outside = self.rows.each(partial(summands.outside, self.loss, theta, u)) if n_outside else None
        return kl, change / self.total, outside

    def shrunk(self, theta, factors):
        """The dual point where the residuals at theta are shrunk, by a factor for each class; one pass.

        S KL(a' || a); 1/S sum_i s_i x_i (a'_i - y_i)^T.
        """
        self.passes += 1
        kl, slope = self.rows.sum(partial(summands.shrunk, self.loss, theta, factors))
        return kl, slope / self.total

    def flows(self, theta):
        """The weighted sum of the residuals at theta of each class's rows, shape (n_classes, k); one pass."""
        self.passes += 1
        return self.rows.sum(partial(summands.flows, self.loss, theta, self.n_classes))[0]

    @property
    def n_classes(self):
        """How many classes there are: one score tells two."""
        return max(2, self.loss.n_outputs)

    @property
    def separation_value(self):
        """Without a penalty, a J below this proves every row on its class's side: J then has no minimum.

        An offset may do that alone, and proves nothing; a row whose label is a distribution has no side.
        """
        if self.has_offset or not (self.penalty.is_none and self.loss.is_labelled):
            return 0.0
        return self.rows.smallest_weight * np.log(2) / self.total

    def largest_margin(self, theta):
        """The largest margin at theta: by how much a row's own score exceeds another."""
        self.passes += 0.5
        return self.rows.fold(partial(summands.largest_margin, self.loss, theta), max)[0]

    def margin_changes(self, direction):
        """The most by which a direction raises a row's margin, its own class's score less another's, and lowers one."""
        self.passes += 0.5
        return self.rows.fold(partial(summands.margin_changes, self.loss, direction), max)

    def least_margins(self, direction, reference, most):
        """The ``most`` margins that a direction raises least, less what a reference raises them by, cut to [0, 1].

        Their numbers, n row + margin for the loss's n margins a row, and by how much.
        """
        f = partial(summands.least_margins, self.loss, direction, reference, most)
        return self.rows.fold(f, partial(summands.smallest, most))[0]

    def margin_matrix(self, numbers):
        """Margins as a matrix that acts on a flat theta of the rows as they are stored, by the margins' numbers."""
        index, other = np.divmod(numbers, self.loss.n_margins)
        part, margin = self.rows.take(index), (np.arange(len(numbers)), other)
        units = np.eye(self.shape[1])[:, None].repeat(len(numbers), axis=1)
        return part.kronecker(np.stack([self.loss.margins(unit, part.y)[margin] for unit in units], axis=1))

    def stored(self):
        """The same objective over the rows as they are stored, so that a matrix of them is sparse where they are."""
        return self._over(self.rows.stored(), self.total)

    def theta_in(self, other, theta):
        """The theta of the same model for another objective of the same rows, measured from another centre."""
        return other.rows.enter(self.rows.leave(theta))

    def centred(self, theta):
        """The same objective, and theta, where features are measured from about their means."""
        rows = self.rows.centred()
        if rows is self.rows:
            return self, theta
        centred = self._over(rows, self.total)
        if np.ndim(self.rows.unit) == 0:
            centred.penalty = penalty_in(self.penalty, rows.unit)
        return centred, self.theta_in(centred, theta)

    def without_constants(self, theta):
        """A theta with the same scores, in which features that are constant on these rows have no part."""
        return self.rows.without_constants(theta)

    def on(self, index):
        """The same objective on the rows at ``index`` alone."""
        return self._over(self.rows.take(index))

    def part(self, size, rng, sample=None):
        """The share of some random rows in J's sum: all of them where size allows, else what may be copied.

        Where a ``sample`` of enough rows is given, they are of those, up to twice as many, and not copied again.
        """
        if size >= self.n_rows:
            return self
        size = min(size, self.largest_sample)
        if sample is not None and sample.n_rows >= size:
            rows = sample.rows.every(sample.n_rows // size)
        else:
            rows = self.rows.take(at_random(size, self.n_rows, rng))
        return self._over(rows, self.total)

    def without(self, rows):
        """The share of the other rows in J's sum."""
        return self._over(self.rows.without(rows), self.total)

    def batches(self, size, rng):
        """The rows in a random order, ``size`` at a time: objectives whose mean, over the batches, is J."""
        order = rng.permutation(self.n_rows)
        for start in range(0, self.n_rows, size):
            index = order[start : start + size]
            rows = self.rows.take(index)
            yield self._over(rows, self.total * len(index) / self.n_rows)
