r"""The minimum of a quadratic with any nonsmooth penalty h that has a prox: an estimate of J - min J.

    q(x) = g^T (x - theta) + 1/2 (x - theta)^T M (x - theta) + h(x)

Only the value and the prox of h are known. So q is minimised by accelerated proximal gradient descent, with the
momentum of a strongly convex function. Let mu and L be the smallest and the largest eigenvalue of M. A step of 1 / L
from y to x proves

    q(x) - min q  <=  (1 / mu - 1 / L) / 2 |L (y - x)|^2

and the estimate adds this remainder to the fall of q, so that it is never below the fall of q to its minimum.

References
----------
Beck, "First-Order Methods in Optimization" (2017), theorem 10.16 (the bound) and section 10.7.7 (the momentum).
"""

from math import inf, sqrt
from typing import NamedTuple

import numpy as np

from ..penalty import Conjugate, Penalty, lacking

__all__ = ["Proximal"]

MOST_PROXIMAL_STEPS = 1000  # a condition number of 1e4 takes about this many steps for ten digits
REMAINDER_SHARE = 0.1  # remainder / fall: small enough


class Proximal(NamedTuple):
    """A metric for a penalty with only a value and a prox: M as a matrix, or None where M is too large."""

    hessian: np.ndarray | None
    penalty: Penalty

    def step_and_fall(self, point):
        """The step to the minimum of the model, and a bound on how far the model falls."""
        theta, (mu, largest) = point.theta, self._extremes()
        if mu <= 0:
            return np.zeros_like(theta), inf
        momentum = (sqrt(largest) - sqrt(mu)) / (sqrt(largest) + sqrt(mu))
        x = y = theta
        for _ in range(MOST_PROXIMAL_STEPS):
            last, x = x, self.penalty.prox(y - (point.gradient + self._product(y - theta)) / largest, 1 / largest)
            gradient_mapping = largest * (y - x)
            remainder = 0.5 * (1 / mu - 1 / largest) * float(np.vdot(gradient_mapping, gradient_mapping))
            fall = self._fall(point, x)
            if remainder <= REMAINDER_SHARE * fall:
                break
            y = x + momentum * (x - last)
        return x - theta, fall + remainder

    def excess(self, point):
        """J - min J, estimated by the fall of the model; infinite where M is singular. Without M a ``dual_excess``."""
        return self._dual_excess(point) if self.hessian is None else self.step_and_fall(point)[1]

    def _dual_excess(self, point):
        """The duality gap of the residuals themselves, see ``verdict.duality``: good near the minimum.

        V are the slopes of the loss. A proof needs a slope of 0 for the intercept. A slope v adds about v^2 / J, for
        the loss has a curvature of about J where most rows are certain.
        """
        penalty, theta = self.penalty, point.theta
        if lacking(penalty, Conjugate):
            return inf
        V = point.gradient - penalty.gradient(theta)
        rho, loss = penalty.dual_scale(V), point.value - penalty.value(theta)
        of_intercept = float(np.vdot(V[-1], V[-1])) / min(1.0, point.value)
        return (1 - rho) * loss + penalty.fenchel_gap(theta, rho * V) + of_intercept

    def _extremes(self):
        """The smallest and the largest eigenvalue of M; 0 for a smallest eigenvalue that is only rounding."""
        if self.hessian is None:
            return 0.0, inf
        values = np.linalg.eigvalsh(self.hessian)
        rounding = len(values) * np.finfo(float).eps * values[-1]
        return float(values[0]) if values[0] > rounding else 0.0, float(values[-1])

    def _product(self, v):
        return (self.hessian @ v.ravel()).reshape(v.shape)

    def _fall(self, point, x):
        d, h = x - point.theta, self.penalty.nonsmooth_value
        return h(point.theta) - h(x) - float(np.vdot(point.gradient + 0.5 * self._product(d), d))
