"""The minimum of a quadratic with an l1 penalty from a start with nearly the right zeros: an active-set method.

    q(x) = g^T (x - theta) + 1/2 (x - theta)^T M (x - theta) + sum_j lambda_j |x_j|

On a set A of coordinates with fixed signs s, q is quadratic, and its minimum solves M_AA d_A = -(g + lambda s + M
d_off)_A. Coordinates whose sign turns leave the set, and zeros whose slope exceeds lambda enter it, until there are no
such coordinates. Along a path most models need one or two such systems. If rounding or a cycle prevents an end,
``minimise_formed`` takes over, which always reaches the minimum.
"""

from typing import NamedTuple

import numpy as np
from scipy.linalg import lapack

from ..penalty import ElasticNet
from .metric import L1Metric

__all__ = ["ActiveSetMetric", "minimise_on_set"]

MOST_SETS = 12  # systems to solve
SLOPE_TOLERANCE = 1e-9  # relative to lambda


class ActiveSetMetric(NamedTuple):
    """M as a matrix, for one score and l1 strengths (P,): see ``L1Metric``."""

    hessian: np.ndarray
    penalty: ElasticNet

    def step_and_fall(self, point):
        """The step to the minimum of the model, and how far it falls; infinite where the minimum was not found."""
        shape = point.theta.shape
        strength = self.penalty.l1_strengths(shape).ravel()
        found = minimise_on_set(self.hessian, point.gradient.ravel(), point.theta.ravel(), strength)
        if found is None:
            return self.safe.step_and_fall(point)
        return found[0].reshape(shape), found[1]

    @property
    def safe(self):
        """The metric whose method works from any start."""
        return L1Metric(self.hessian, self.penalty)

    def updated(self, ds, dg):
        """The metric with BFGS's update: see ``L1Metric``."""
        return self._replace(hessian=self.safe.updated(ds, dg).hessian)


def minimise_on_set(M, g, theta, strength):
    """The step to the minimum of q, and the fall of q; None where the sets do not come to an end."""
    sign = np.sign(theta)
    enters = (theta == 0) & (np.abs(g) > strength)
    sign[enters] = -np.sign(g[enters])
    active = (sign != 0) | (strength == 0)
    seen = theta != 0
    for _ in range(MOST_SETS):
        on = active.nonzero()[0]
        d = np.where(active, 0.0, -theta)
        right = -(g[on] + strength[on] * sign[on])
        dropped = (seen & ~active).nonzero()[0]
        if len(dropped):
            right += M[on[:, None], dropped] @ theta[dropped]
        _, d[on], failed = lapack.dposv(M[on[:, None], on], right, lower=True)
        if failed:
            return None
        x = theta + d
        turned = active & (strength > 0) & (x * sign < 0)
        if turned.any():
            active &= ~turned
            sign[turned] = 0
            continue
        slope = g + M[:, on] @ d[on]
        if len(dropped):
            slope -= M[:, dropped] @ theta[dropped]
        rising = ~active & (np.abs(slope) > strength * (1 + SLOPE_TOLERANCE))
        if not rising.any():
            x[~active] = 0.0
            fall = -0.5 * (d @ (g + slope)) - strength @ (np.abs(x) - np.abs(theta))
            return d, max(float(fall), 0.0)
        active |= rising
        sign[rising] = -np.sign(slope[rising])
    return None
