"""The objectives of several problems over the same rows; one pass serves all problems.

    J_m(theta_m) = 1/S_m sum_i s_i h_im loss(y_i, W_m^T x_i + b_m) + R_m(theta_m),    S_m = sum_i s_i h_im

Problem m has its own theta, its own weighting, which gives row i the share h_im of its weight, and its own penalty.
Cross-validation is such a set: a fold's weighting is 0 on the rows that it holds out and 1 on the
others, the fit to all rows has the weighting 1, and all of these are there at every strength of the penalty.

Shapes: M problems, F weightings; shares h (n, F); theta and gradients (M, p + 1, k), intercept last; values (M,).
"""

from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from . import summands

__all__ = ["Columns", "Points", "Several"]

MOST_GROUPS = 2  # for each weighting: a Hessian for each group must fit in memory

OTHER_CURVATURE = 1.3  # ratio of a row's curvatures at two thetas, from which each weighting has its own of the row

LEAST_LENGTH = float(np.finfo(float).tiny)


class Columns(NamedTuple):
    """Problems: for each the number of its weighting, (M,), the diagonal of its penalty's Hessian and its l1 strengths.

    ``curvature`` and ``strength`` have the shape (M, p + 1, k).
    """

    weighting: np.ndarray
    curvature: np.ndarray
    strength: np.ndarray

    @classmethod
    def of(cls, weighting, penalties, shape):
        """The columns of problems with the given weightings and penalties, whose thetas have a given shape."""
        like = np.empty(shape)
        curvature = np.stack([penalty.curvature(like) for penalty in penalties])
        if all(penalty.is_smooth for penalty in penalties):
            return cls(np.asarray(weighting), curvature, np.broadcast_to(0.0, curvature.shape))
        return cls(np.asarray(weighting), curvature, np.stack([penalty.l1_strengths(shape) for penalty in penalties]))

    def some(self, index):
        """Some of the problems."""
        return Columns(*(part[index] for part in self))

    def nonsmooth_values(self, theta):
        """The nonsmooth part of each problem's penalty."""
        return np.einsum("mjc,mjc->m", self.strength, np.abs(theta))


class Points(NamedTuple):
    """A theta for each problem, with J, and the gradient of its smooth part, there."""

    theta: np.ndarray
    value: np.ndarray
    gradient: np.ndarray

    def some(self, index):
        """The points of some problems."""
        return Points(self.theta[index], self.value[index], self.gradient[index])


class Several:
    """The loss of rows in several weightings; a method gets its problems as ``Columns``.

    ``passes`` counts the passes over the rows, and ``columns`` the columns of theta in all these passes.
    """

    def __init__(self, rows, loss, shares):
        self.rows, self.loss, self.shares = rows, loss, shares
        self.shape = rows.shape[1], loss.n_outputs
        self.resolution = 10 * float(np.finfo(rows.dtype).eps)
        self.passes = self.columns = 0
        self._cut: dict[int, Any] = {}  # the rows in blocks, by the number of scores to the next power of 2

    @cached_property
    def totals(self):
        """The sum of the weights in each weighting, (F,)."""
        return self.rows.sum(summands.weight_totals, self.shares)[0]

    @cached_property
    def _units(self):
        """The spread of each feature, and 1 for the intercept, (p + 1, 1)."""
        return np.append(self.rows.spread(), 1.0)[:, None]

    def lengths(self, directions):
        """The largest entry of each direction, times its feature's spread: more than 0, so that it has a logarithm."""
        with np.errstate(invalid="ignore"):
            return np.maximum(np.abs(directions * self._units).max(axis=(1, 2)), LEAST_LENGTH)

    @property
    def n_rows(self):
        """The number of rows."""
        return self.rows.n_rows

    @property
    def largest_sample(self):
        """How many rows ``sample`` may copy: none where shares are not in memory."""
        return self.rows.largest_sample if isinstance(self.shares, np.ndarray) else 0

    def sample(self, index):
        """A copy of the rows at ``index``, with their shares."""
        return Several(self.rows.take(index), self.loss, self.shares[index])

    def is_like(self, sample, most):
        """Whether each feature's spread in a sample differs by at most a share: where few rows have it, it does not."""
        return bool((np.abs(sample._units - self._units) <= most * self._units).all())

    @cached_property
    def _groups(self):
        return self.rows.groups(self.shares, MOST_GROUPS * self.shares.shape[1])

    @property
    def has_groups(self):
        """Whether ``hessians`` makes the Hessian of each weighting."""
        return self._groups is not None

    def threads(self):
        """Hold the cores for the length of a fit."""
        return self.rows.threads()

    def at(self, theta, columns):
        """J and its gradient for each problem, in one pass; J may overflow to infinity or nan."""
        f = partial(summands.values_and_gradients, self.loss, side_by_side(theta), columns.weighting)
        with np.errstate(over="ignore", invalid="ignore"):
            loss, gradient = self._rows(len(theta)).sum(f, self.shares)
            total, slope = self.totals[columns.weighting], columns.curvature * theta
            value = loss / total + 0.5 * np.einsum("mjc,mjc->m", slope, theta) + columns.nonsmooth_values(theta)
            return Points(theta, value, apart(gradient, self.shape) / total[:, None, None] + slope)

    def gradients(self, theta, columns):
        """The gradients of ``at`` alone."""
        f = partial(summands.gradients, self.loss, side_by_side(theta), columns.weighting)
        (gradient,) = self._rows(len(theta)).sum(f, self.shares)
        total = self.totals[columns.weighting, None, None]
        return apart(gradient, self.shape) / total + columns.curvature * theta

    def curvatures(self, theta, columns):
        """The curvature of each row's loss in each problem, (M, n), as its part of the Hessian: for one score."""
        f = partial(summands.curvatures_by_column, self.loss, side_by_side(theta), columns.weighting)
        return self._rows(len(theta)).each(f, self.shares).T / self.totals[columns.weighting, None]

    def filled(self):
        """[X, 1], measured as these rows are, as an array in memory."""
        return self.rows.take(np.arange(self.n_rows)).filled()

    def capped_losses(self, theta, most):
        """The mean loss of all rows at each theta, where no row counts for more than ``most``."""
        f = partial(summands.capped_values, self.loss, side_by_side(theta), len(theta), most)
        return self._rows(len(theta)).sum(f)[0] / self.rows.total

    def hessians(self, theta):
        """The loss's Hessian in each weighting, (F, P, P), at one theta.

        Rows that have the same share in every weighting are a group, and the Hessian of a group is made once. The folds
        of a cross-validation are such groups, so the Hessians of all folds cost as much as one Hessian of all rows.
        Where there are many groups, the Hessian of the first weighting stands for all weightings.
        """
        p, k = self.shape
        if self._groups is None:
            return np.broadcast_to(self.hessian(theta, 0), (len(self.totals), p * k, p * k))
        group, shares = self._groups
        f = partial(summands.hessians_of_groups, self.loss, theta, len(shares))
        (hessians,) = self._rows(0).sum(f, group, products=p * k**2)
        return np.tensordot(shares.T / self.totals[:, None], hessians, axes=1)

    def hessians_near(self, theta, own):
        """``hessians`` at one theta, but of the rows whose curvature is another one at each weighting's own theta.

        So a flag whose rows are certain of their class in one fold alone has hardly any curvature there. With several
        scores such rows are many, and their Hessians cost more than they spare.
        """
        if self._groups is None or self.shape[1] > 1:
            return self.hessians(theta)
        group, shares = self._groups
        f = partial(summands.hessians_near, self.loss, theta, side_by_side(own), OTHER_CURVATURE, len(shares))
        hessians, of_moved = self._rows(0).sum(f, group, self.shares, products=self.shape[0])
        return (np.tensordot(shares.T, hessians, axes=1) + of_moved) / self.totals[:, None, None]

    def hessian(self, theta, number):
        """The loss's Hessian in one weighting, at a theta of its own."""
        f = partial(summands.hessian_of_weighting, self.loss, theta, number)
        p, k = self.shape
        (hessian,) = self._rows(0).sum(f, self.shares, products=p * k**2)
        return hessian / self.totals[number]

    def _rows(self, n_problems):
        """The rows in blocks for ``n_problems`` problems; 0 is for a Hessian, whose blocks may be large."""
        self.passes += 1
        self.columns += n_problems
        n_scores = 1 << (max(1, n_problems * self.shape[1]) - 1).bit_length()
        if n_scores not in self._cut:
            self._cut[n_scores] = self.rows.for_scores(n_scores)
        return self._cut[n_scores]


def side_by_side(theta):
    """Thetas (M, p + 1, k) as the columns of one, (p + 1, M k)."""
    return theta.transpose(1, 0, 2).reshape(theta.shape[1], -1)


def apart(columns, shape):
    """The inverse of ``side_by_side``, for thetas of a shape (p + 1, k)."""
    p, k = shape
    return np.ascontiguousarray(columns.reshape(p, -1, k).transpose(1, 0, 2))
