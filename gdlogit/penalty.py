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

__all__ = ["ElasticNet"]


class ElasticNet(NamedTuple):
    """Strengths of the two parts, in units of the mean loss."""

    l2: float
    l1: float = 0.0

    def value(self, theta):
        """R(theta)."""
        W = theta[:-1]
        return 0.5 * self.l2 * np.vdot(W, W) + (self.l1 * np.abs(W).sum() if self.l1 else 0.0)

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

    def prox(self, theta, step):
        """Argmin over v of l1 |V|_1 + |v - theta|^2 / (2 step): shrink W towards 0 by step * l1."""
        if not self.l1:
            return theta
        shrunk = np.sign(theta) * np.maximum(np.abs(theta) - step * self.l1, 0)
        shrunk[-1] = theta[-1]
        return shrunk
