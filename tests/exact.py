"""The objective and its minimum in extended precision, from their definitions and without gdlogit: an oracle for tests.

    J(W, b) = 1/S sum_i s_i loss(y_i, W x_i + b) + 1/(C S) [(1 - r)/2 |W|^2 + r |W|_1],    S = sum_i s_i

All arithmetic is in ``np.longdouble``: on x86, 64 bits of mantissa and exponents to 4932, so no square of a float64
overflows. The minimum is found by Newton's method with a line search, on features that are centred and scaled. With an
l1 part, |w| becomes the logarithmic barrier of its bounds -t <= w <= t, minimised over t, and mu goes to 0:

    min_t t - m log(t^2 - w^2) + const. = t - m log t + const.,    t = m + sqrt(m^2 + w^2),    m = mu / l1.

Whatever point it finds is a proof that min J is no higher: a bound that claims more than J - J(point) is refuted.
"""

from typing import NamedTuple

import numpy as np

EXTENDED = np.longdouble
EPS = np.finfo(EXTENDED).eps
STEPS = 100  # of Newton's method, at one mu


class Exact(NamedTuple):
    """A data set and a penalty; y holds codes from 0, theta is (p + 1, k), intercept last, k = 1 for two classes."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    n_classes: int
    C: float
    l1_ratio: float
    intercept: bool

    @classmethod
    def of(cls, X, y, weight, n_classes, C, l1_ratio=0.0, intercept=True):
        """In extended precision, without the rows of weight 0."""
        some = weight > 0
        return cls(X[some].astype(EXTENDED), y[some], weight[some].astype(EXTENDED), n_classes, C, l1_ratio, intercept)

    @property
    def share(self):
        return self.weight / self.weight.sum()

    @property
    def strengths(self):
        """l2 and l1, in units of the mean loss."""
        total = EXTENDED(0) if self.C == np.inf else 1 / (EXTENDED(self.C) * self.weight.sum())
        return (1 - EXTENDED(self.l1_ratio)) * total, EXTENDED(self.l1_ratio) * total

    def losses(self, z):
        """The rows' losses, their gradients (n, k) and Hessians (n, k, k) in their scores z (n, k)."""
        if self.n_classes == 2:
            z = np.hstack([np.zeros_like(z), z])
        z = z - z.max(axis=1, keepdims=True)
        e = np.exp(z)
        a, own = e / e.sum(axis=1, keepdims=True), np.eye(self.n_classes, dtype=bool)[self.y]
        others = np.where(own, 0, e).sum(axis=1)
        loss = np.where(z[own] == 0, np.log1p(others), np.log(e.sum(axis=1)) - z[own])
        dz = np.where(own, -(others / e.sum(axis=1))[:, None], a)
        curvature = -a[:, :, None] * a[:, None, :]
        np.einsum("icc->ic", curvature)[:] = a * np.where(own, -dz, 1 - a)
        first = int(self.n_classes == 2)
        return loss, dz[:, first:], curvature[:, first:, first:]

    def value(self, theta):
        """J at theta."""
        theta = theta.astype(EXTENDED)
        l2, l1 = self.strengths
        penalty = l2 / 2 * np.sum(theta[:-1] ** 2) + l1 * np.abs(theta[:-1]).sum()
        return self.share @ self.losses(self.X @ theta[:-1] + theta[-1])[0] + penalty

    def rounding(self, theta, eps):
        """By how much J may change where theta and the products in X W + b are rounded, eps each."""
        theta = np.abs(theta.astype(EXTENDED))
        loss, dz, _ = self.losses(self.X @ theta[:-1] + theta[-1])
        moved = eps * (np.abs(self.X) @ theta[:-1] + theta[-1]).max(axis=1)
        first = np.abs(dz).max(axis=1) * moved
        return self.share @ (first + moved**2) + eps * self.value(theta)

    def minimum(self):
        """The lowest J that was found, and its theta."""
        share = self.share
        low, high = self.X.min(axis=0), self.X.max(axis=0)
        centre = np.where(low == high, low, share @ self.X) if self.intercept else np.zeros_like(low)
        X = self.X - centre
        scale = np.abs(X).max(axis=0)
        scale[scale == 0] = 1
        X = np.hstack([X / scale, np.full_like(X[:, :1], self.intercept)])
        l2, l1 = self.strengths
        l2, l1 = (np.append(strength, 0)[:, None] for strength in (l2 / scale**2, l1 / scale))
        k = 1 if self.n_classes == 2 else self.n_classes
        theta = np.zeros((X.shape[1], k), dtype=EXTENDED)

        def smooth(theta, mu):
            """J with barriers; its gradient and Hessian."""
            loss, dz, curvature = self.losses(X @ theta)
            value = share @ loss + np.sum(l2 * theta**2) / 2
            gradient = X.T @ (share[:, None] * dz) + l2 * theta
            n_parameters = theta.size
            hessian = np.einsum("ij,icd,il->jcld", X, share[:, None, None] * curvature, X)
            hessian = hessian.reshape(n_parameters, n_parameters)
            bend = l2 + 0 * theta
            if l1.any():
                m = mu / np.where(l1 > 0, l1, 1)
                root = np.hypot(m, theta)
                t = m + root
                value += np.sum(l1 * t - np.where(l1 > 0, mu * np.log(t), 0))
                gradient += l1 * theta / t
                bend = bend + l1 * m / (t * root)
            np.einsum("ii->i", hessian)[:] += bend.ravel()
            return value, gradient, hessian

        mus = 10.0 ** -np.arange(1, 21, dtype=EXTENDED) if self.l1_ratio and l1.any() else [EXTENDED(0)]
        for mu in mus:
            theta = newton(lambda theta, mu=mu: smooth(theta, mu), theta, self.intercept)
        value = share @ self.losses(X @ theta)[0] + np.sum(l2 * theta**2) / 2 + np.sum(l1 * np.abs(theta))
        W = theta[:-1] / scale[:, None]
        return value, np.vstack([W, theta[-1] - centre @ W])


def newton(function, theta, intercept):
    """The minimum of a convex function, which returns its value, gradient and Hessian at theta."""
    value, gradient, hessian = function(theta)
    for _ in range(STEPS):
        step = -solve(hessian, gradient.ravel()).reshape(theta.shape)
        fall = -np.vdot(gradient, step)
        rate = EXTENDED(1)
        while rate > 1e-10:
            new = function(theta + rate * step)
            if new[0] <= value - rate * fall / 10000:
                break
            rate /= 2
        else:
            break
        theta, (value, gradient, hessian) = theta + rate * step, new
        if fall <= EPS * np.abs(value):
            break
    return theta


def solve(matrix, vector):
    """A solution by Cholesky's method, equilibrated, with as much added to the diagonal as it needs."""
    diagonal = np.diag(matrix)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))
    equilibrated, tau = scale[:, None] * matrix * scale, len(matrix) * EPS
    while True:
        np.einsum("ii->i", equilibrated)[:] = 1 + tau
        L = cholesky(equilibrated)
        if L is not None:
            break
        tau *= 10
    x = scale * vector
    for i in range(len(x)):
        x[i] = (x[i] - L[i, :i] @ x[:i]) / L[i, i]
    for i in reversed(range(len(x))):
        x[i] = (x[i] - L[i + 1 :, i] @ x[i + 1 :]) / L[i, i]
    return scale * x


def cholesky(matrix):
    """The lower factor; None where a pivot is not positive."""
    L = matrix.copy()
    for i in range(len(L)):
        if not L[i, i] > 0:
            return None
        L[i:, i] /= np.sqrt(L[i, i])
        L[i + 1 :, i + 1 :] -= np.outer(L[i + 1 :, i], L[i + 1 :, i])
    return L
