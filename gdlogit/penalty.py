"""Penalties: protocols that say what a solver needs of a penalty, and the elastic net, which meets all of them.

    R(theta) = smooth(theta) + nonsmooth(theta),    theta = [W; b] of shape (p + 1, k)

The smooth part is a quadratic form 1/2 sum_jc d_jc W_jc^2, so that its gradient is linear in theta. The nonsmooth part
has a prox. The last row of theta, the intercept b, has no penalty; no other file knows that. The elastic net is

    R(theta) = sum_j l2_j / 2 |W_j|^2 + l1_j |W_j|_1

with one strength for all features, or one for each. A strength of 0 leaves a feature unpenalised; the l1 strength
``LEFT_OUT`` keeps its coefficients at zero. In scikit-learn's terms, with S the sum of the sample weights and f_j a
feature's penalty factor, l2_j = f_j (1 - l1_ratio) / (C S) and l1_j = f_j l1_ratio / (C S).

References
----------
Zou and Hastie, "Regularization and variable selection via the elastic net", JRSS B 67 (2005).
Parikh and Boyd, "Proximal algorithms", Foundations and Trends in Optimization 1 (2014), section 6.5.
"""

from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np

__all__ = [
    "LEFT_OUT",
    "Conjugate",
    "ElasticNet",
    "L1Penalty",
    "Penalty",
    "free_of",
    "lacking",
    "penalty_in",
    "shrink",
    "ways_of",
]

WEAKEST = float(np.finfo(float).tiny)  # a strength that is not 0
# An l1 strength that stands for infinity: no slope of a loss, of features in their units, exceeds it; 0 times it is 0.
LEFT_OUT = 1e100
STRONGEST = 1e300  # an l2 strength with which a coefficient of a feature in its units is 0

Array = np.ndarray[Any, np.dtype[np.floating[Any]]]


class Penalty(Protocol):
    """What every solver needs: the names that (proximal) gradient descent and its stopping rule use.

    These names are enough for every solver if ``is_smooth``. Arrays have the shape of theta; ``curvature`` and
    ``gradient`` take a single column of shape (p + 1,), too.
    """

    @property
    def is_none(self) -> bool:
        """Whether R is zero everywhere; J may then have no minimum."""

    @property
    def is_smooth(self) -> bool:
        """Whether there is no nonsmooth part: ``prox`` changes nothing, and ``nonsmooth_value`` is 0."""

    @property
    def is_rotation_invariant(self) -> bool:
        """Whether R(Q W) = R(W) for every orthogonal Q, as with one l2 strength for all features."""

    @property
    def largest_curvature(self) -> float:
        """The largest entry of ``curvature``; the step length of gradient descent depends on it."""

    def value(self, theta: Array) -> float:
        """R(theta), both parts."""

    def nonsmooth_value(self, theta: Array) -> float:
        """The nonsmooth part of R(theta)."""

    def gradient(self, theta: Array) -> Array:
        """The gradient of the smooth part, which is linear in theta."""

    def curvature(self, theta: Array) -> Array:
        """The diagonal of the smooth part's Hessian; its other entries are 0."""

    def prox(self, theta: Array, step: float) -> Array:
        """Argmin over v of nonsmooth(v) + |v - theta|^2 / (2 step)."""


class L1Penalty(Penalty, Protocol):
    """What Newton's methods need, too, of a penalty that is not smooth: its nonsmooth part is sum_j l1_j |W_j|_1."""

    def l1_strengths(self, shape: tuple[int, ...]) -> Array:
        """The l1 strength of each entry of theta: 0 on the intercept and on features without an l1 part."""

    @property
    def uniform_strengths(self) -> tuple[float, float] | None:
        """The l1 and the l2 strength that all features share; None where features differ."""

    def restricted(self, features: Array) -> "L1Penalty":
        """The penalty of some features, for a theta of these features and the intercept."""

    def balanced(self, theta: Array) -> Array:
        """Theta with each feature's coefficients shifted to the least penalty; no softmax changes by such a shift."""


class Conjugate(Protocol):
    """What a proof needs: R's convex conjugate R*, with which a dual point V bounds J - min J. V has theta's shape.

    For a feature without any penalty, as for the intercept, R*(-V) is infinite unless V_j = 0.
    """

    def unpenalised(self, n_features: int) -> Array:
        """Which rows of theta have no penalty: a Boolean for each feature, and True for the intercept."""

    def dual_scale(self, V: Array) -> float:
        """The largest rho <= 1 with R*(-rho V) finite."""

    def nearest_dual(self, theta: Array, V: Array, distance: Array) -> Array:
        """The V of least ``fenchel_gap``, with each feature's entries moved by at most a distance (p,)."""

    def fenchel_gap(self, theta: Array, V: Array) -> float:
        """R(theta) + R*(-V) + <W, V>, which is never negative, for a V with R*(-V) finite."""


def lacking(penalty: Any, protocol: type) -> list[str]:
    """The names of a protocol that a penalty does not have."""
    names = not_in_class(type(penalty), protocol)  # type: ignore[arg-type]  # a class is hashable
    return [name for name in names if not hasattr(penalty, name)]


@cache
def not_in_class(kind, protocol):
    """The names of a protocol that a class does not have, though its instances may."""
    return [name for name in dir(protocol) if not name.startswith("_") and not hasattr(kind, name)]


def penalty_in(penalty, unit):
    """The penalty of coefficients that are multiplied by units, (p,) or 1.0; a TypeError where it does not know how."""
    if np.ndim(unit) == 0:
        return penalty
    if not hasattr(penalty, "in_units"):
        raise TypeError(f"{type(penalty).__name__} cannot be used for features on such scales: it lacks in_units.")
    return penalty.in_units(unit)


def free_of(penalty, n_features):
    """Which rows of theta a penalty is known to leave unpenalised: always the intercept."""
    if hasattr(penalty, "unpenalised"):
        return penalty.unpenalised(n_features)
    free = np.full(n_features + 1, penalty.is_none)
    free[-1] = True
    return free


def ways_of(penalty, shape):
    """The entries of theta along which a penalty is constant without end: downwards, and upwards."""
    if hasattr(penalty, "ways"):
        return penalty.ways(shape)
    free = np.repeat(free_of(penalty, shape[0] - 1)[:, None], shape[1], axis=1)
    return free, free


class ElasticNet(NamedTuple):
    """Strengths of the l2 and l1 parts, in units of the mean loss: a number, or an array (p,) with one per feature."""

    l2: float | Array
    l1: float | Array = 0.0

    @classmethod
    def of(cls, C, l1_ratio, total, factors=None):
        """The strengths in scikit-learn's terms, where the weights of the rows add up to ``total``.

        ``factors`` (p,) multiply the strengths, feature by feature; a factor inf keeps the feature at zero. None is 1
        for all. Every finite C is a penalty, however large C is.
        """
        strength = 1 / (float(C) * float(total))
        if C < np.inf:
            strength = max(strength, WEAKEST)
        if factors is None:
            return cls((1 - l1_ratio) * strength, l1_ratio * strength)
        out = np.isinf(factors)
        strengths = np.where(out, 0.0, np.minimum(factors, LEFT_OUT) * strength)
        if not out.any() and np.all(strengths == strengths[0]):  # one number costs less than a vector
            strengths = float(strengths[0])
        l2, l1 = (1 - l1_ratio) * strengths, l1_ratio * strengths
        return cls(l2, np.where(out, LEFT_OUT, l1) if out.any() else l1)

    def value(self, theta):
        """R(theta)."""
        W = theta[:-1]
        squares = np.vdot(W, columns(self.l2, W) * W) if differs(self.l2) else self.l2 * np.vdot(W, W)
        return 0.5 * squares + self.nonsmooth_value(theta)

    def nonsmooth_value(self, theta):
        """The nonsmooth part of R(theta): sum_j l1_j |W_j|_1."""
        if self.is_smooth:
            return 0.0
        sizes = np.abs(theta[:-1])
        return self.l1 @ sizes.sum(axis=1) if differs(self.l1) else self.l1 * sizes.sum()

    def gradient(self, theta):
        """The gradient of the smooth part: l2_j W_j."""
        gradient = with_intercept(self.l2, theta) * theta
        gradient[-1] = 0
        return gradient

    def curvature(self, theta):
        """The diagonal of the smooth part's Hessian, in theta's shape."""
        curvature = np.full_like(theta, with_intercept(self.l2, theta))
        curvature[-1] = 0
        return curvature

    @property
    def largest_curvature(self):
        """The largest entry of ``curvature``."""
        return float(self.l2.max() if differs(self.l2) else self.l2)

    @property
    def is_none(self):
        """Whether there is no penalty at all."""
        return self.is_smooth and not is_any(self.l2)

    @property
    def is_smooth(self):
        """Whether there is no l1 part."""
        return not (self.l1.any() if isinstance(self.l1, np.ndarray) else self.l1)  # asked often: no further call

    @property
    def is_rotation_invariant(self):
        """Whether R depends on |W| alone: there is no l1 part, and one l2 strength for all features."""
        return self.is_smooth and not differs(self.l2)

    @property
    def uniform_strengths(self):
        """l1 and l2 where each is one number for all features; else None."""
        return None if differs(self.l1) or differs(self.l2) else (self.l1, self.l2)

    def in_units(self, unit):
        """The same penalty of coefficients that are multiplied by units (p,), or by 1.0."""
        if differs(unit):
            return ElasticNet(measured(self.l2, unit, 2, STRONGEST), measured(self.l1, unit, 1, LEFT_OUT))
        return self

    def restricted(self, features):
        """The penalty of some features."""
        return ElasticNet(*(strength[features] if differs(strength) else strength for strength in self))

    def l1_strengths(self, shape):
        """The strength of the l1 part on each entry of theta: 0 on the intercept."""
        strengths = np.empty(shape)
        strengths[:-1] = columns(self.l1, strengths)
        strengths[-1] = 0
        return strengths

    def prox(self, theta, step):
        """Argmin over v of sum_j l1_j |V_j|_1 + |v - theta|^2 / (2 step): shrink W_j towards 0 by step * l1_j."""
        return theta if self.is_smooth else shrink(theta, step * self.l1_strengths(theta.shape))

    def balanced(self, theta):
        """Theta with each feature's coefficients shifted to the least penalty; no softmax changes by such a shift.

        With i of the coefficients w_1, ..., w_k below a shift t, the cost has the slope l2 (k t - sum w) + l1 (2 i - k)
        in t. Let t_i be the zero of this slope. The best shift is the median of w_1, ..., w_k and t_0, ..., t_k. Where
        l2 is 0, t_i is infinite, or any number for the middle one of an even k: 0 shifts nothing. A feature without any
        penalty is not shifted.
        """
        W, k = theta[:-1], theta.shape[1]
        some = np.flatnonzero(W.any(axis=1))
        if k == 1 or not len(some):
            return theta
        W, side = W[some], 1 - 2 * np.arange(k + 1) / k
        l2, l1 = (columns(strength, W) for strength in self.restricted(some))
        without_l2 = np.where(np.greater(l1, 0) & (side != 0), np.copysign(np.inf, side), 0.0)
        ends = np.where(np.greater(l2, 0), W.mean(axis=1, keepdims=True) + l1 * side / divisor(l2), without_l2)
        shifts = np.partition(np.hstack([W, ends]), k, axis=1)[:, [k]]
        balanced = theta.copy()
        balanced[some] -= shifts
        return balanced

    def unpenalised(self, n_features):
        """Which rows of theta have no penalty: features without either part, and the intercept."""
        free = np.ones(n_features + 1, dtype=bool)
        free[:-1] = np.equal(self.l1, 0) & np.equal(self.l2, 0)
        return free

    def dual_scale(self, V):
        """The largest rho <= 1 with R*(-rho V) finite: |rho V_jc| <= l1_j where l2_j = 0.

        So rho = 0 where a feature has no penalty at all, and V_j is not 0.
        """
        largest = np.abs(V[:-1]).max(axis=1)
        beyond = np.equal(self.l2, 0) & (largest > self.l1)
        if not beyond.any():
            return 1.0
        return float((np.broadcast_to(self.l1, largest.shape)[beyond] / largest[beyond]).min())

    def nearest_dual(self, theta, V, distance):
        """The V of least ``fenchel_gap``, with each feature's entries moved by at most a distance (p,).

        The entries of a feature without any penalty move towards 0.
        """
        W, V, distance = theta[:-1], V.copy(), distance[:, None]
        l1, l2 = columns(self.l1, W), columns(self.l2, W)
        best = np.where(W == 0, np.clip(V[:-1], -l1, l1), -l2 * W - l1 * np.sign(W))
        V[:-1] += np.clip(best - V[:-1], -distance, distance)
        return V

    def fenchel_gap(self, theta, V):
        """R(theta) + R*(-V) + <W, V>, as a sum of terms none of which is negative.

        R*(v) = sum (|v| - l1)_+^2 / (2 l2). With U the V clipped to [-l1, l1], the sum is
        sum (l2 W + V - U)^2 / (2 l2) + (l1 |W| + W U). Where l2_j = 0, V_j = U_j must hold. The sum overflows to
        infinity where l2 is too small to prove anything.
        """
        W, V = theta[:-1], V[:-1]
        l1, l2 = columns(self.l1, W), columns(self.l2, W)
        U = np.clip(V, -l1, l1)
        with np.errstate(over="ignore"):
            quadratic = (l2 * W + (V - U)) ** 2 / (2 * divisor(l2))
            return float((quadratic + (l1 * np.abs(W) + W * U)).sum())


def measured(strength, unit, power, most):
    """Strengths of features, for coefficients in units: divided by a power of these, and at most a number."""
    if not is_any(strength):
        return strength
    strengths = np.broadcast_to(strength, unit.shape)
    with np.errstate(over="ignore", under="ignore"):
        for _ in range(power):
            strengths = np.where(strengths >= most, most, np.minimum(strengths / unit, most))
    return strengths


def differs(strength):
    """Whether there is one strength for each feature, not one for all."""
    return isinstance(strength, np.ndarray)


def is_any(strength):
    """Whether a strength is not zero, of any feature."""
    return bool(strength.any() if isinstance(strength, np.ndarray) else strength)


def columns(strength, array):
    """Strengths of the features, shaped to multiply an array whose first index is the feature."""
    return strength.reshape(-1, *[1] * (array.ndim - 1)) if differs(strength) else strength


def with_intercept(strength, theta):
    """Strengths shaped to multiply all of theta; the number for the intercept means nothing."""
    return columns(np.append(strength, 0.0), theta) if differs(strength) else strength


def divisor(l2):
    """The strengths l2, with 1 in the place of 0: a quotient by such a 1 is 0, or is not used."""
    return np.where(np.greater(l2, 0), l2, 1.0)


def shrink(x, by):
    """The soft threshold: every entry moved towards 0 by ``by``, and not beyond 0."""
    return np.sign(x) * np.maximum(np.abs(x) - by, 0)
