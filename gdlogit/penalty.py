"""The elastic net: value, gradient and curvature of its smooth part, prox of the rest.

    R(theta) = l2 / 2 |W|^2 + l1 |W|_1,    theta = [W; b] of shape (p + 1, k)

The last row of theta, the intercept b, is free of the penalty; no other file knows that. In scikit-learn's terms, with
S the sum of the sample weights: l2 = (1 - l1_ratio) / (C S) and l1 = l1_ratio / (C S).

References
----------
Zou and Hastie, "Regularization and variable selection via the elastic net", JRSS B 67 (2005).
Parikh and Boyd, "Proximal algorithms", Foundations and Trends in Optimization 1 (2014), section 6.5.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["ElasticNet", "shrink"]


class ElasticNet(NamedTuple):
    """Strengths of the two parts, in units of the mean loss."""

    l2: float
    l1: float = 0.0

    @classmethod
    def of(cls, C, l1_ratio, total):
        """The strengths in scikit-learn's terms, where the weights of the rows add up to ``total``."""
        strength = 1 / (C * total)
        return cls((1 - l1_ratio) * strength, l1_ratio * strength)

    def value(self, theta):
        """R(theta)."""
        return 0.5 * self.l2 * np.vdot(theta[:-1], theta[:-1]) + self.rough_value(theta)

    def rough_value(self, theta):
        """The part of R(theta) that has no gradient: l1 |W|_1."""
        return self.l1 * np.abs(theta[:-1]).sum() if self.l1 else 0.0

    def gradient(self, theta):
        """The gradient of the smooth part, l2 / 2 |W|^2."""
        gradient = self.l2 * theta
        gradient[-1] = 0
        return gradient

    def curvature(self, theta):
        """The diagonal of the smooth part's Hessian, in theta's shape."""
        curvature = np.full_like(theta, self.l2)
        curvature[-1] = 0
        return curvature

    @property
    def is_none(self):
        """Whether there is no penalty at all."""
        return self.l1 == self.l2 == 0

    def strength(self, shape):
        """The strength of the l1 part on each entry of theta: 0 on the intercept."""
        strength = np.full(shape, self.l1)
        strength[-1] = 0
        return strength

    def prox(self, theta, step):
        """Argmin over v of l1 |V|_1 + |v - theta|^2 / (2 step): shrink W towards 0 by step * l1."""
        return shrink(theta, step * self.strength(theta.shape)) if self.l1 else theta

    def balanced(self, theta):
        """Theta with each feature's coefficients shifted by what costs least: a softmax does not see such a shift.

        The best shift t is 0, or one of the coefficients w_c, or, with i of k of them below it, where
        l2 (k t - sum w) + l1 (2 i - k) = 0.
        """
        W, k = theta[:-1], theta.shape[1]
        if k == 1:
            return theta
        i = np.arange(k + 1)
        shifts = [np.zeros_like(W[:, :1]), W]
        if self.l2:
            shifts.append(W.mean(axis=1, keepdims=True) + self.l1 * (1 - 2 * i / k) / self.l2)
        shifts = np.hstack(shifts)
        shifted = W[:, None, :] - shifts[:, :, None]
        cost = (0.5 * self.l2 * shifted**2 + self.l1 * np.abs(shifted)).sum(axis=2)
        return np.vstack([shifted[np.arange(len(W)), cost.argmin(axis=1)], theta[-1:]])

    def feasible(self, V):
        """The largest rho <= 1 with R*(-rho V) finite, R* being R's convex conjugate; V in theta's shape."""
        largest = np.abs(V[:-1]).max()
        return 1.0 if self.l2 or largest <= self.l1 else self.l1 / largest

    def nearest(self, theta, V, distance):
        """V, each feature's entries moved by at most a distance (p,) to where the ``gap`` is least."""
        W, V, distance = theta[:-1], V.copy(), distance[:, None]
        best = np.where(W == 0, np.clip(V[:-1], -self.l1, self.l1), -self.l2 * W - self.l1 * np.sign(W))
        V[:-1] += np.clip(best - V[:-1], -distance, distance)
        return V

    def gap(self, theta, V):
        """R(theta) + R*(-V) + <W, V>, the Fenchel gap, as a sum of terms none of which is negative.

        With R*(v) = sum (|v| - l1)_+^2 / (2 l2), and V = U + (V - U) where U is V held within [-l1, l1]:
        sum l2 / 2 (W + (V - U) / l2)^2 + (l1 |W| + W U). Without an l2 part V = U must hold.
        """
        W, V = theta[:-1], V[:-1]
        U = np.clip(V, -self.l1, self.l1)
        quadratic = 0.5 * self.l2 * (W + (V - U) / self.l2) ** 2 if self.l2 else 0.0
        return float((quadratic + (self.l1 * np.abs(W) + W * U)).sum())


def shrink(x, by):
    """Every entry moved towards 0 by so much, and not beyond."""
    return np.sign(x) * np.maximum(np.abs(x) - by, 0)
