"""The minima of quadratics with an l1 penalty, from starts with nearly the right zeros: an active-set method.

    q(x) = g^T (x - theta) + 1/2 (x - theta)^T M (x - theta) + sum_j lambda_j |x_j|

On a set A of coordinates with fixed signs s, q is quadratic, and its minimum solves M_AA d_A = -(g + lambda s + M
d_off)_A. Coordinates whose sign turns leave the set, and zeros whose slope exceeds lambda enter it, until there are no
such coordinates. Along a path most models need one or two such systems. If rounding or a cycle prevents an end,
``minimise_formed`` takes over, which always reaches the minimum.

Several problems go side by side, because all but the systems themselves are operations on arrays of all problems.

M is a Hessian that problems share, improved by BFGS (``ActiveSets``). Where rows are few, M_AA takes hardly more time
than its factorisation, so that M is the Hessian of each problem at its own theta, by its rows (``RowSets``).
"""

import numpy as np
from scipy.linalg import lapack

from ..objective import Point
from ..penalty import ElasticNet
from .l1_metric import L1Metric

__all__ = ["ActiveSets", "RowSets"]

MOST_SETS = 12  # systems to solve
SLOPE_TOLERANCE = 1e-9  # relative to lambda


class ActiveSets:
    """The metrics of several problems with one score and l1 strengths, as matrices that BFGS's updates improve.

        M  =  H + diag(curvature) + sum_r sign_r v_r v_r^T

    H is the Hessian of the loss, an array that problems may share; the curvature is that of the penalty. The vectors v
    have the shape (n_updates, M, P), and ``sign`` is 1 and -1 in turns.
    """

    def __init__(self, hessians, columns):
        self.hessians = list(hessians)
        self.curvature, self.strength = (part.reshape(len(part), -1) for part in (columns.curvature, columns.strength))
        self.vectors, self.sign = np.zeros((0, *self.strength.shape)), np.zeros(0)
        self.curvature = np.stack([with_some(*pair) for pair in zip(self.hessians, self.curvature, strict=True)])

    def steps_and_falls(self, numbers, point):
        """The step to the minimum of the model of each numbered problem, and how far the model falls.

        The fall is infinite where the minimum was not found.
        """
        theta, g = (part.reshape(len(numbers), self.strength.shape[1]) for part in (point.theta, point.gradient))
        steps, falls = self.minima(numbers, theta, g)
        for m in np.flatnonzero(np.isnan(falls)):
            M, strength = self.matrix(numbers[m], np.arange(theta.shape[1])), self.strength[numbers[m]]
            here = Point(theta[m, :, None], point.value[m], g[m, :, None])
            step, falls[m] = L1Metric(M, ElasticNet(0.0, strength[:-1])).step_and_fall(here)
            steps[m] = step[:, 0]
        return steps.reshape(point.theta.shape), falls

    def minima(self, numbers, theta, g):
        """The steps to the minima of the models, and the falls; nan where the sets do not come to an end."""
        strength, going = self.strength[numbers], np.arange(len(numbers))
        steps, falls = np.zeros_like(theta), np.full(len(numbers), np.nan)
        sign = np.where((theta == 0) & (np.abs(g) > strength), -np.sign(g), np.sign(theta))
        for _ in range(MOST_SETS):
            active = (sign != 0) | (strength == 0)
            d = self.on_sets(numbers[going], theta, g + strength * sign, active)
            slope, x = g + self.product(numbers[going], d), theta + d
            turned = active & (strength > 0) & (x * sign < 0)
            rising = ~active & (np.abs(slope) > strength * (1 + SLOPE_TOLERANCE)) & ~turned.any(axis=1, keepdims=True)
            goes_on = (turned | rising).any(axis=1)
            fall = -0.5 * (d * (g + slope)).sum(axis=1) - (strength * (np.abs(x) - np.abs(theta))).sum(axis=1)
            steps[going[~goes_on]], falls[going[~goes_on]] = d[~goes_on], np.maximum(fall[~goes_on], 0.0)
            if not goes_on.any():
                break
            sign = np.where(turned, 0.0, np.where(rising, -np.sign(slope), sign))
            going = going[goes_on]
            theta, g, strength, sign = (part[goes_on] for part in (theta, g, strength, sign))
        return steps, falls

    def on_sets(self, numbers, theta, slope, active):
        """The steps to the minima on the active sets with fixed signs; nan where M_AA is not definite."""
        d = np.where(active, 0.0, -theta)
        right = -slope - self.product(numbers, d) if d.any() else -slope
        for row, number in enumerate(numbers):
            on = active[row].nonzero()[0]
            _, d[row, on], failed = lapack.dposv(self.matrix(number, on), right[row, on], lower=True)
            if failed:
                d[row] = np.nan
        return d

    def matrix(self, number, on):
        """M of a problem on a set of coordinates."""
        M = self.hessians[number][on[:, None], on]
        np.einsum("ii->i", M)[:] += self.curvature[number, on]
        v = self.vectors[:, number, on]
        return M + (v.T * self.sign) @ v if len(v) else M

    def product(self, numbers, d):
        """M d for each numbered problem."""
        product, sharing = self.curvature[numbers] * d, {}
        for row, number in enumerate(numbers):
            sharing.setdefault(id(self.hessians[number]), []).append(row)
        for rows in sharing.values():
            moved = d[rows].any(axis=0).nonzero()[0]  # few of a working set
            product[rows] += d[np.ix_(rows, moved)] @ self.hessians[numbers[rows[0]]][moved]
        if len(self.sign):
            v = self.vectors[:, numbers]
            product += np.einsum("rm,rmj->mj", self.sign[:, None] * np.einsum("rmj,mj->rm", v, d), v)
        return product

    def update(self, numbers, ds, dg):
        """Improve M to M - M s s^T M / s^T M s + y y^T / s^T y (Nocedal and Wright 2006, equation 6.19)."""
        s, y = (part.reshape(len(numbers), self.strength.shape[1]) for part in (ds, dg))
        Ms = self.product(numbers, s)
        of_model, of_loss = (s * Ms).sum(axis=1), (s * y).sum(axis=1)
        good = (of_model > 0) & (of_loss > 0)
        new = np.zeros((2, *self.strength.shape))
        new[0, numbers[good]] = y[good] / np.sqrt(of_loss[good, None])
        new[1, numbers[good]] = Ms[good] / np.sqrt(of_model[good, None])
        self.vectors, self.sign = np.concatenate([self.vectors, new]), np.append(self.sign, [1.0, -1.0])

    def replace(self, numbers, hessians, columns):
        """Let problems have other Hessians, without updates."""
        for number, hessian, curvature in zip(numbers, hessians, columns.curvature, strict=True):
            self.hessians[number], self.curvature[number] = hessian, with_some(hessian, curvature.ravel())
        self.vectors[:, numbers] = 0


class RowSets(ActiveSets):
    """The Hessians of several problems with one score and l1 strengths at the problems' own thetas: Newton's method.

        M  =  X^T diag(c) X + diag(curvature)

    Each problem has its own curvatures c of the rows, with their weights: ``curvatures(theta, columns)``, (M, n). X has
    the constant feature, too.
    """

    def __init__(self, X, curvatures, shares, columns):
        self.by_feature, self.curvatures, self.columns = np.ascontiguousarray(X.T, dtype=float), curvatures, columns
        self.curvature, self.strength = (part.reshape(len(part), -1) for part in (columns.curvature, columns.strength))
        squares = (np.square(self.by_feature) @ shares).T[columns.weighting]
        self.curvature = np.where(squares + self.curvature == 0, 1.0, self.curvature)
        self.c = np.zeros((len(self.strength), len(X)))

    def steps_and_falls(self, numbers, point):
        """The step to the minimum of the model of each numbered problem around its point, and how far the model falls.

        The fall is infinite where the minimum was not found.
        """
        self.c[numbers] = self.curvatures(point.theta, self.columns.some(numbers))
        return super().steps_and_falls(numbers, point)

    def matrix(self, number, on):
        """M of a problem on a set of coordinates."""
        rooted = self.by_feature[on] * np.sqrt(self.c[number])
        M = rooted @ rooted.T
        np.einsum("ii->i", M)[:] += self.curvature[number, on]
        return M

    def product(self, numbers, d):
        """M d for each numbered problem."""
        return self.curvature[numbers] * d + (d @ self.by_feature * self.c[numbers]) @ self.by_feature.T

    def update(self, numbers, ds, dg):
        """Leave M to the next step, at whose point it is made anew."""

    def replace(self, numbers, hessians, columns):
        """Leave M: it is the Hessian already."""


def with_some(hessian, curvature):
    """The penalty's curvature, and 1 for a parameter without any in either: the intercept of rows without one."""
    return np.where(hessian.diagonal() + curvature == 0, 1.0, curvature)
