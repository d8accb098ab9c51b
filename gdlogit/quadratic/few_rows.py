r"""Newton's step where rows are few and features are many: in the span of the rows.

    H d = g,    H v = X^T C (X v_W + 1 v_b) + Lambda v_W,    g = X^T r + Lambda W

C has the curvatures of the rows' scores, r their residuals, Lambda the penalty's curvature. With the best intercepts
d_b for each d_W, C becomes C' = C - C 1 (1^T C 1)^+ 1^T C, and

    (I + Lambda^-1 X^T C' X) d_W = W + Lambda^-1 X^T (r - C 1 (1^T C 1)^+ 1^T r)

Both sides, and all vectors of conjugate gradients with the inner product v^T Lambda w, have the form alpha W +
Lambda^-1 X^T e, with one number alpha and e (n, k). Their scores are alpha X W + K e with K = X Lambda^-1 X^T (n, n).
So a product costs n^2 k multiplications in place of the 2 n p k of a pass, X is read only before and after the solve,
and the solve is in float64, whatever the type of X.

``row_curvature`` has the preconditioners.

References
----------
Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), section 3.5 (Newton's step by K alone).
"""

from functools import cached_property
from math import sqrt
from typing import NamedTuple

import numpy as np

from .curvature import ConjugateGradients, Iterate
from .price import CHOLESKY, pass_price
from .row_curvature import preconditioner_of

__all__ = ["FewRows", "kernel_of", "kernel_price"]


class Vector(NamedTuple):
    """The coefficients alpha W + Lambda^-1 X^T e: alpha, e (n, k), and their scores (n, k)."""

    alpha: float
    e: np.ndarray
    scores: np.ndarray

    def plus(self, length, other):
        """The sum of this vector and a multiple of another one."""
        return Vector(*(mine + length * others for mine, others in zip(self, other, strict=True)))


class FewRows(ConjugateGradients):
    """H at a point with scores z, for the gradient at this point alone; ``kernel`` is K.

    The gradient is made of W and the residuals. Where not ``from_residuals``, it is the point's, with its rounding, as
    a proof needs it: W is then Lambda^-1 g, and r is 0. ``limits`` are those of ``ConjugateGradients``.
    """

    def __init__(self, objective, kernel, point, z, from_residuals=True, **limits):
        super().__init__(None, None, None, **limits)  # ``iterates`` has them
        z = np.asarray(z, float)
        self.objective, self.kernel = objective, kernel
        self.share = np.asarray(objective.weighed(np.ones((len(z), 1))), float)
        self.c, r = objective.loss.curvature(z), self.share * objective.residuals(z)
        self.slope = r.sum(axis=0)
        W = (point.theta if from_residuals else inverse_penalty(objective) * point.gradient)[:-1]
        self.W, self.residuals = W, r if from_residuals else np.zeros_like(r)
        self.scores = objective.scores_in_double(W)
        self.norm = float(np.vdot(W, objective.penalty_curvature[:-1] * W))
        bend = objective.loss.bend_sum(self.c, self.share[:, 0]) * objective.has_intercept
        self.intercept_inverse = np.linalg.pinv(bend, hermitian=True)  # of 1^T C 1

    @property
    def product_price(self):
        """The price of a product with K, in passes."""
        return len(self.kernel) ** 2 / (2 * self.objective.work)

    def iterates(self, g):
        """Yield the Iterate after 0, 1, 2, ... products, whose x is a Vector; ``g`` is the gradient at the point."""
        intercepts = self.intercept_inverse @ self.slope
        r = self._of(1.0, self.residuals - self._bent(np.broadcast_to(intercepts, self.scores.shape)))
        x = r.plus(-1.0, r)
        v = q = self._preconditioned(r)
        start = rest = self._dot(r, q)
        fall = 0.5 * float(self.slope @ intercepts)
        yield Iterate(x, r, 1.0, fall, fall + 0.5 * rest, fall + self._bound(r))
        for _ in range(self.most_products):
            bent = self._bent_at_best(v.scores)
            curvature = self._dot(v, v) + float(np.vdot(v.scores, bent))
            if rest <= 0 or curvature <= 0:  # the residual is 0, or the curvature is rounding
                return
            length = rest / curvature
            x = x.plus(length, v)
            # Scores are made of alpha and e: with scores that are updated, rounding grows from product to product.
            r = self._of(r.alpha - length * v.alpha, r.e - length * (v.e + bent))
            fall += 0.5 * length * rest
            q = self._preconditioned(r)
            last, rest = rest, self._dot(r, q)
            v = q.plus(rest / last, v)
            yield Iterate(x, r, sqrt(abs(rest) / start), fall, fall + 0.5 * rest, fall + self._bound(r))

    def solved(self, g):
        """The same iterate, with x and the rest in theta's coordinates."""
        found = super().solved(g)
        x, rest = self._theta(found.x), self._theta(found.rest) * self.objective.penalty_curvature
        if self.objective.has_intercept:
            x[-1] = self.intercept_inverse @ (self.slope - self._bent(found.x.scores).sum(axis=0))
        return found._replace(x=x, rest=rest)

    def _theta(self, vector):
        """The coefficients of a vector, and intercepts of 0."""
        theta = inverse_penalty(self.objective) * self.objective.transposed(vector.e)
        theta[:-1] += vector.alpha * self.W
        theta[-1] = 0
        return theta

    def _of(self, alpha, e):
        """The Vector of an alpha and an e, for one product with K."""
        self.objective.passes += self.product_price
        return Vector(alpha, e, alpha * self.scores + (e.T @ self.kernel).T)  # BLAS takes twice as long for K e

    def _bent(self, v):
        """C v."""
        return self.share * self.objective.loss.bend(self.c, v)

    def _bent_at_best(self, v):
        """C' v: C v where the intercepts beside v are at their best."""
        bent = self._bent(v)
        if self.objective.has_intercept:
            bent = self._bent(v - self.intercept_inverse @ bent.sum(axis=0))
        return bent

    def _dot(self, v, w):
        """The inner product v^T Lambda w of two vectors."""
        return float(v.alpha * (w.alpha * self.norm + np.vdot(w.e, self.scores)) + np.vdot(v.e, w.scores))

    def _bound(self, r):
        """A bound on 1/2 r^T H^-1 r, because H has at least the penalty's curvature."""
        return 0.5 * self._dot(r, r)

    def _preconditioned(self, v):
        """The preconditioner's solution for v."""
        return self._of(v.alpha, v.e - self._preconditioner.solve(v.scores))

    @cached_property
    def _preconditioner(self):
        return preconditioner_of(self.kernel, self.c, self.share[:, 0])


def kernel_of(objective):
    """K, without the intercepts."""
    return objective.row_products(inverse_penalty(objective)[:-1, 0])


def inverse_penalty(objective):
    """Lambda^-1, shape (p + 1, k), and 1 for the intercepts."""
    penalty = objective.penalty_curvature.copy()
    penalty[-1] = 1.0
    return 1 / penalty


def kernel_price(objective):
    """The price of K and of a factor, in passes; infinite where a Hessian needs more than K."""
    n, (p, _) = objective.n_rows, objective.shape
    # so that neither 1 / penalty nor a product of rows with it overflows
    is_penalised = objective.penalty_curvature[:-1].min() > sqrt(np.finfo(objective.precision).tiny)
    if not objective.is_in_memory or not is_penalised:
        return np.inf
    return (n**2 * p + CHOLESKY * n**3) / pass_price(objective)
