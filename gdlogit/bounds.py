"""A penalty with bounds: R(theta) where low <= W <= high, and infinity elsewhere.

The conjugate of a term l2/2 w^2 + l1 |w| on an interval is known in closed form: its maximiser is the maximiser without
the interval, clipped to the interval. So a proof works as with any penalty. Every point of a descent is within the
bounds: ``prox`` projects the steps of gradient descent, and Newton's method goes in a straight line to a point within
the bounds. A prox of step 0 is the projection.

References
----------
Bertsekas, "Projected Newton methods for optimization problems with simple constraints", SIAM J. Control Optim. 20
(1982). Rockafellar, "Convex Analysis" (1970), section 16.
"""

from typing import NamedTuple, Protocol

import numpy as np

from .penalty import ElasticNet, L1Penalty, shrink

__all__ = ["BoxPenalty", "Bounded", "bounded"]


class BoxPenalty(L1Penalty, Protocol):
    """What Newton's methods need where coefficients have bounds."""

    def box(self, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """The smallest and the largest value of each entry of theta."""


def bounded(penalty, bounds):
    """The penalty with bounds (low, high), each of shape (p, k); the penalty itself where ``bounds`` is None."""
    return penalty if bounds is None else Bounded(penalty, *bounds)


class Bounded(NamedTuple):
    """An elastic net, and bounds of the coefficients, of shape (p, k)."""

    penalty: ElasticNet
    low: np.ndarray
    high: np.ndarray

    is_none = False
    is_smooth = False
    is_rotation_invariant = False
    uniform_strengths = None

    @property
    def largest_curvature(self):
        """The largest entry of ``curvature``."""
        return self.penalty.largest_curvature

    def value(self, theta):
        """R(theta), within the bounds."""
        return self.penalty.value(theta)

    def nonsmooth_value(self, theta):
        """The nonsmooth part of R(theta), within the bounds."""
        return self.penalty.nonsmooth_value(theta)

    def gradient(self, theta):
        """The gradient of the smooth part."""
        return self.penalty.gradient(theta)

    def curvature(self, theta):
        """The diagonal of the smooth part's Hessian."""
        return self.penalty.curvature(theta)

    def prox(self, theta, step):
        """The prox without bounds, clipped to the bounds; with step 0 the nearest theta within the bounds."""
        theta = self.penalty.prox(theta, step)
        return np.vstack([np.clip(theta[:-1], self.low, self.high), theta[-1:]])

    def l1_strengths(self, shape):
        """The l1 strength of each entry of theta."""
        return self.penalty.l1_strengths(shape)

    def restricted(self, features):
        """The same for some features."""
        return Bounded(self.penalty.restricted(features), self.low[features], self.high[features])

    def in_units(self, unit):
        """The same of coefficients that are multiplied by units (p,), or by 1.0."""
        if np.ndim(unit) == 0:
            return self
        return Bounded(self.penalty.in_units(unit), self.low * unit[:, None], self.high * unit[:, None])

    def balanced(self, theta):
        """Theta itself: a shift of a feature's coefficients may leave the bounds."""
        return theta

    def box(self, shape):
        """The smallest and the largest value of each entry of theta; the intercept has no bounds."""
        low, high = np.full(shape, -np.inf), np.full(shape, np.inf)
        low[:-1], high[:-1] = self.low, self.high
        return low, high

    def ways(self, shape):
        """The entries of theta along which R is finite and constant without end: downwards, and upwards."""
        low, high = self.box(shape)
        flat = (self.l1_strengths(shape) == 0) & (self.curvature(np.empty(shape)) == 0)
        return flat & np.isneginf(low), flat & np.isposinf(high)

    # --- For proofs -------------------------------------------------------------------------------------------------

    def unpenalised(self, n_features):
        """Which rows of theta have neither penalty nor bounds."""
        down, up = self.ways((n_features + 1, self.low.shape[1]))
        return (down & up).all(axis=1)

    def dual_scale(self, V):
        """The largest rho <= 1 with R*(-rho V) finite."""
        l1 = self.l1_strengths(V.shape)
        flat = self.curvature(np.empty(V.shape)) == 0
        low, high = self.box(V.shape)
        beyond = flat & (((V < -l1) & np.isposinf(high)) | ((V > l1) & np.isneginf(low)))
        beyond[-1] = False
        return float((l1[beyond] / np.abs(V[beyond])).min(initial=1.0))

    def nearest_dual(self, theta, V, distance):
        """The V of least ``fenchel_gap``, with each feature's entries moved by at most a distance (p,)."""
        W, V, distance = theta[:-1], V.copy(), distance[:, None]
        l1, l2 = self.l1_strengths(theta.shape)[:-1], self.curvature(theta)[:-1]
        inner = np.where(W == 0, np.clip(V[:-1], -l1, l1), -l2 * W - l1 * np.sign(W))
        best = np.where(W <= self.low, np.maximum(V[:-1], inner), inner)
        best = np.where(self.high <= W, np.minimum(V[:-1], best), best)
        V[:-1] += np.clip(best - V[:-1], -distance, distance)
        return V

    def fenchel_gap(self, theta, V):
        """R(theta) + R*(-V) + <W, V>: the value of R + <., V> at theta less its minimum within the bounds."""
        W, V = theta[:-1], V[:-1]
        l1, l2 = self.l1_strengths(theta.shape)[:-1], self.curvature(theta)[:-1]
        pull = shrink(-V, l1)
        ends = np.where(pull > 0, self.high, np.where(pull < 0, self.low, W if not l1.any() else 0.0))
        ends = np.where((l2 == 0) & (pull == 0), np.where(l1 > 0, 0.0, W), ends)
        # Where an end is infinite, V exceeds l1 by its rounding alone: see ``dual_scale``.
        ends = np.where(np.isinf(ends), np.where(l1 > 0, 0.0, W), ends)
        best = np.clip(np.where(l2 > 0, pull / np.where(l2 > 0, l2, 1.0), ends), self.low, self.high)
        rise = (W - best) * (0.5 * l2 * (W + best) + V) + l1 * (np.abs(W) - np.abs(best))
        return float(np.maximum(rise, 0).sum())
