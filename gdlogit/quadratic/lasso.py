r"""The minimum of a quadratic with an l1 penalty: the end of a proximal Newton step.

    q(x) = g^T (x - theta) + 1/2 (x - theta)^T M (x - theta) + sum_j lambda_j |x_j|

M is a Hessian, g the gradient at theta, and lambda_j the strength of the penalty on x_j, 0 where there is none. All
arrays are flat. Two methods take turns, in equilibrated coordinates, where M has a unit diagonal.

*Reduced Newton* works on the nonzeros; while their signs do not change, q is quadratic. A zero stays zero, and a
coordinate that reaches zero along Newton's step stays there. From a start with the right zeros, a few steps end at the
minimum.

*A descent that handles the kink at zero* gets nearly all signs right, from any start. Its kind depends on what is known
of M:

- the matrix M: about forty iterations of ADMM, with M + rho factorised once;
- the columns of an F with M = F^T F, for a working set of features: a few sweeps of coordinate descent (``sweeps``);
- only products of M with vectors: a step of steepest descent for the zeros whose slope exceeds lambda_j.

References
----------
Chen, Curtis and Robinson, "FaRSA for l1-regularized convex optimization", Optim. Methods Softw. 33 (2018).
Boyd et al., "Distributed optimization and statistical learning via ADMM", Found. Trends Mach. Learn. 3 (2011), sections
3.4.1 (rho), 3.4.3 (over-relaxation) and 6.4 (the lasso).
"""

from math import inf
from typing import NamedTuple

import numpy as np

from ..penalty import shrink
from .curvature import Cholesky, ConjugateGradients, Jacobi, equilibration
from .sweeps import swept

__all__ = [
    "INTERCEPT_FEATURE",
    "PROXIMAL_RESIDUAL",
    "ColumnModel",
    "ProductModel",
    "least_slope",
    "minimise_formed",
    "minimise_roughly",
    "most_products",
    "split",
]

MOST_ROUNDS = 20  # of reduced Newton and ADMM
NEWTON_STEPS_PER_ROUND = 8  # of reduced Newton, at most
ROUGH, STEPS_TO_RESIDUAL = 0.3, 40  # residual of a mere step; most steps to a smaller one, which an estimate needs
ADMM_ITERATIONS = 40  # in a round
ADMM_RELAXATION = 1.6  # Boyd et al. recommend 1.5 to 1.8
# Fall of the last round / fall so far: the least that is worth another round, near the minimum and far from it.
FINAL_PROGRESS, FAR_PROGRESS = 1e-6, 0.1
SLOPE_TOLERANCE = 1e-9  # relative to lambda: the slopes at the minimum
# Relative to the diagonal, for each parameter: more than what rounding takes from directions without curvature.
RIDGE_PER_PARAMETER = 1e-14
MOST_OVERSHOOT = 1e3  # step / distance to zero: longer steps all end at zero, so they need not be told apart
SWEEPS = 5  # of coordinate descent, at a time
INTERCEPT_FEATURE = 1e4  # a constant feature, whose penalised parameter stands for the intercept
PROXIMAL_RESIDUAL = 1e-3  # slope / slope at the start, where a solve for an estimate or a proof ends
NONZEROS_FORCING_TERM = 0.3  # relative residual at which conjugate gradients end
MOST_NONZERO_PRODUCTS = 15  # of conjugate gradients: where a solve needs more, signs are about to change
# For a proof: slope / lambda at the end, as a dual point is scaled by the largest; most steps, and products in a step.
PROOF_SLOPE, PROOF_STEPS, PROOF_PRODUCTS = 1e-3, 60, 300
PROOF_RESIDUAL = 1e-2  # of a step of such a search, relative to the slope before it


class LassoPoint(NamedTuple):
    """An x, the slope of q's smooth part at x, and the fall of q from the start to x."""

    x: np.ndarray
    slope: np.ndarray
    fall: float


class LassoModel:
    """M, in equilibrated coordinates."""

    def ends_at(self, point):
        """Whether a search is to end at a point."""
        return False

    def balanced(self, x):
        """The x of least penalty among those that q's smooth part cannot tell from x."""
        return x

    def with_freed_zeros(self, point, strength):
        """The point after a step of steepest descent on the zeros whose slope exceeds their strength, if any does."""
        v = least_slope(point.x, point.slope, strength)
        rising = np.where((point.x == 0) & (strength > 0), v, 0.0)
        if not rising.any():
            return point
        Mr = self.product(rising)
        curvature = rising @ Mr
        rate = rising @ rising / curvature if curvature > 0 else 1.0
        fall = point.fall + 0.5 * rate * rising @ rising
        freed = LassoPoint(point.x - rate * rising, point.slope - rate * Mr, fall)
        return point_at(self, freed, freed.x, strength)  # balanced: no step is to follow a softmax's null space


class FormedModel(LassoModel):
    """M as a matrix; ``balanced`` moves along the known null space of M."""

    def __init__(self, M, balanced):
        self.M, self.balanced = M, balanced

    def product(self, v):
        """M v."""
        return self.M @ v

    def solve(self, v, movable, residual):
        """M^-1 v, on the movable coordinates."""
        solution = np.zeros_like(v)
        movable = np.flatnonzero(movable)
        if len(movable):
            solution[movable] = Cholesky(self.M[np.ix_(movable, movable)]).solve(v[movable])
        return solution


class ProductModel(LassoModel):
    """M by a function for its products with vectors, and by its diagonal, both in the coordinates of theta.

    A search ends after about ``most_products``, or where q falls by more than ``largest_fall``: q is then no model of
    J, and its minimum is not worth further products.
    """

    products, most_products, largest_fall = 0, inf, inf

    def __init__(self, product, diagonal, balanced=None, most_products=inf, largest_fall=inf):
        self.unscaled, self.scale = product, equilibration(diagonal)
        self.most_products, self.largest_fall = most_products, largest_fall
        if balanced is not None:
            self.balanced = lambda x: balanced(self.scale * x) / self.scale

    def ends_at(self, point):
        """Whether a search is to end at a point."""
        return self.products >= self.most_products or point.fall > self.largest_fall

    def product(self, v):
        """M v."""
        self.products += 1
        return self.scale * self.unscaled(self.scale * v)

    def with_exact_intercept(self, point):
        """The point's x; a subclass may lower its slope along the intercept."""
        return point.x

    def solve(self, v, movable, residual):
        """M^-1 v, roughly, on the movable coordinates, by conjugate gradients."""
        reduced = ConjugateGradients(
            lambda u: movable * self.product(movable * u), Jacobi(np.ones(len(v))), lambda r: inf
        )
        most = MOST_NONZERO_PRODUCTS if residual else PROOF_PRODUCTS
        for products, iterate in enumerate(reduced.iterates(movable * v)):
            if iterate.residual <= min(NONZEROS_FORCING_TERM, residual or PROOF_RESIDUAL) or products == most:
                break
        return iterate.x


class ColumnModel(ProductModel):
    """M = F^T F + l2 by the columns of F, for a loss of |u + F d|^2 / 2 at a step d from theta.

    The last column of F is a feature with the constant value INTERCEPT_FEATURE. Its parameter is the intercept divided
    by that value, so its penalty is negligible. Theta's features are measured from the centre and F's are not, so a
    step of W changes the intercept of F's columns.

    F may be in float32. The slope along the intercept is then added up in float64, because it has a term for each row.
    """

    def __init__(self, u, F, centre, squares, penalty, theta):
        self.F, self.FT, self.centre, self.penalty, self.theta = F, F.T, centre, penalty, theta
        self.scale = equilibration(squares + penalty.curvature(theta))
        self.y = F @ np.append(theta[:-1], 0.0).astype(F.dtype) - u
        self.constant = None if F.dtype == float else F[:, [-1]].toarray()[:, 0].astype(float)

    def unscaled(self, v):
        """M v, in the coordinates of theta."""
        Fv = self.F @ self.to_columns(v).astype(self.F.dtype, copy=False)
        Mv = (self.FT @ Fv).astype(float, copy=False)
        if self.constant is not None:
            Mv[-1] = self.constant @ Fv
        Mv[-1] /= INTERCEPT_FEATURE
        Mv[:-1] -= self.centre * Mv[-1]
        return Mv + self.penalty.gradient(v)

    def to_columns(self, d):
        """A step in the coordinates of theta, as a step in the parameters of F's columns."""
        return np.append(d[:-1], (d[-1] - self.centre @ d[:-1]) / INTERCEPT_FEATURE)

    def with_exact_intercept(self, point):
        """The point's x with the intercept at its minimum, which a proof needs. M has a unit diagonal: one step."""
        return np.append(point.x[:-1], point.x[-1] - point.slope[-1])

    def with_freed_zeros(self, point, strength):
        """The point after a few sweeps of coordinate descent, which needs one l1 and one l2 for all columns."""
        if self.penalty.uniform_strengths is None:
            return super().with_freed_zeros(point, strength)
        x = self.scale * point.x
        start = np.append(x[:-1], self.to_columns(x - self.theta)[-1])
        step = swept(self.F, self.y, start, *self.penalty.uniform_strengths, SWEEPS) - start
        x += np.append(step[:-1], INTERCEPT_FEATURE * step[-1] + self.centre @ step[:-1])
        return point_at(self, point, x / self.scale, strength)


def minimise_formed(M, g, theta, strength, balanced, largest_fall):
    """The minimum of q, the fall of q from theta to the minimum, and whether the minimum was found.

    M may have a known null space; ``balanced`` moves an x along it, to where the penalty is least. Where q falls by
    more than ``largest_fall``, q is no model of J, and the search for its minimum ends. Where q falls by a share of
    ``largest_fall``, q is right to about that share: a round that brings less is not worth its price.
    """
    diagonal = M.diagonal()
    unknown_curvature = curvature_to_zero(g, theta, strength, diagonal, largest_fall)
    scale = equilibration(np.maximum(diagonal, unknown_curvature / MOST_OVERSHOOT))
    M = FormedModel(scale[:, None] * M * scale, lambda x: balanced(scale * x) / scale)
    np.einsum("ii->i", M.M)[:] = 1 + RIDGE_PER_PARAMETER * len(g)  # where M shows no curvature, any curvature will do
    strength = strength * scale
    point, rho = LassoPoint(theta / scale, scale * g, 0.0), 0.1
    for _ in range(MOST_ROUNDS):
        before = point.fall
        point, converged = reduced_newton(M, point, strength, NEWTON_STEPS_PER_ROUND)
        if not converged:
            point = coordinate_step(M, point, strength)  # without this step, a round of no fall would prove nothing
        enough = max(FINAL_PROGRESS, min(FAR_PROGRESS, point.fall / largest_fall))
        converged = (converged or point.fall - before <= enough * point.fall) and point.fall <= largest_fall
        if converged or point.fall > largest_fall:
            break
        point, rho = admm(M, point, strength, rho)
    return scale * point.x, point.fall, converged


def minimise_roughly(M, g, theta, strength, rtol):
    """An x where the slope of q is about rtol times the slope at theta, and the fall of q from theta to x.

    With an rtol of 0 the search goes on until each slope is small beside its own strength, as a proof needs it. M is
    ``ProductModel`` or ``ColumnModel``.
    """
    strength = strength * M.scale
    start = without_remnants(M, LassoPoint(theta / M.scale, M.scale * g, 0.0), strength)
    if rtol:
        point, _ = reduced_newton(M, start, strength, most_steps(rtol), rtol)
    else:
        point, _ = reduced_newton(M, start, strength, most_steps(rtol), most_slope=PROOF_SLOPE, always_frees=True)
    return M.scale * M.with_exact_intercept(point), point.fall


def most_steps(rtol):
    """The most steps of a rough solve to a residual of rtol."""
    if not rtol:
        return PROOF_STEPS
    return NEWTON_STEPS_PER_ROUND if rtol >= ROUGH else STEPS_TO_RESIDUAL


def most_products(rtol):
    """About the most products that such a solve takes."""
    return most_steps(rtol) * MOST_NONZERO_PRODUCTS


def without_remnants(M, point, strength):
    """The point with those coordinates at 0 whose own Newton step leads far beyond 0; M has a unit diagonal.

    Each has a part in the norm of the slope, but hardly any in the fall, so together they would end a search that is to
    lower this norm by a factor.
    """
    x, v = point.x, least_slope(point.x, point.slope, strength)
    remnants = (strength > 0) & (x * v > 0) & (np.abs(v) > MOST_OVERSHOOT * np.abs(x))
    return point_at(M, point, np.where(remnants, 0.0, x), strength) if remnants.any() else point


def reduced_newton(M, point, strength, steps, rtol=0.0, most_slope=SLOPE_TOLERANCE, always_frees=False):
    """Newton steps on the nonzeros; whether they end at the minimum, or at a slope of rtol times the first slope.

    At the minimum no slope is above ``most_slope`` times its strength.

    Zeros are freed only after a full step, unless the search ``always_frees`` them. After a shorter step the same
    coordinates would leave zero and come back; but where hardly any coordinate is 0, many steps are short.
    """
    v = least_slope(point.x, point.slope, strength)
    goal = rtol * np.linalg.norm(v)
    full_step = True
    for i in range(steps):
        is_flat = (np.abs(v) <= most_slope * strength)[strength > 0].all()
        if np.linalg.norm(v) <= goal or (i and full_step and is_flat):
            return point, True
        if M.ends_at(point):
            break
        if full_step or always_frees:
            point = M.with_freed_zeros(point, strength)
            v = least_slope(point.x, point.slope, strength)
            if np.linalg.norm(v) <= goal:
                return point, True
        movable = (point.x != 0) | (strength == 0)
        residual = goal / max(np.linalg.norm(v), np.finfo(float).tiny)
        direction = -M.solve(np.where(movable, v, 0.0), movable, residual)
        point, full_step = step_within_signs(M, point, direction, strength)
        v = least_slope(point.x, point.slope, strength)
    return point, False


def step_within_signs(M, point, direction, strength):
    """A step along a direction, and whether the step is full: no penalised coordinate reaches zero on the way.

    A coordinate that reaches zero stays there, and a full step may then be too long. So the best is taken of the full
    step, a quarter of it, and so on, down to the first zero. A step by which q rises is not taken: where M is singular,
    the direction may be mere rounding.
    """
    x = point.x
    meets = (strength > 0) & (x * direction < 0)
    ratio = np.divide(-x, direction, out=np.full_like(x, np.inf), where=meets)
    first_zero = min(1.0, ratio.min())
    best, rate = point_at(M, point, np.where(ratio <= 1, 0.0, x + direction), strength), 1.0
    while rate > first_zero:
        rate = max(rate / 4, first_zero)
        shorter = point_at(M, point, np.where(ratio <= rate, 0.0, x + rate * direction), strength)
        if best.fall > max(shorter.fall, point.fall):
            break
        best = max(shorter, best, key=lambda point: point.fall)
    return max(point, best, key=lambda point: point.fall), first_zero == 1


def point_at(M, point, x, strength):
    """The ``LassoPoint`` at x, after ``balanced``."""
    x = M.balanced(x)
    s = x - point.x
    if not s.any():
        return point
    Ms = M.product(s)
    change = point.slope @ s + 0.5 * s @ Ms + strength @ (np.abs(x) - np.abs(point.x))
    return LassoPoint(x, point.slope + Ms, point.fall - change)


def admm(M, point, strength, rho):
    """The better of a point and the point that iterations of ADMM find from it; and a better rho."""
    z, rho = split(M.M, point.x, point.slope, lambda v, rho: shrink(v, strength / rho), rho)
    return max(point, point_at(M, point, z, strength), key=lambda point: point.fall), rho


def split(M, x, slope, prox, rho):
    """The x that iterations of ADMM find for q, from x with the slope of q's smooth part; and a better rho.

    M is a matrix with a unit diagonal. ``prox(v, rho)`` is the minimum of the rest of q plus rho / 2 |. - v|^2.

    x := (M + rho)^-1 (rho (z - u) - c),  z := prox(x + u, rho),  u := u + x - z, with x over-relaxed.
    """
    c = slope - M @ x
    factor = Cholesky(M + rho * np.eye(len(c)))
    z, u = x, -slope / rho
    for _ in range(ADMM_ITERATIONS):
        before = z
        x = factor.solve(rho * (z - u) - c)
        ahead = ADMM_RELAXATION * x + (1 - ADMM_RELAXATION) * z + u
        z = prox(ahead, rho)
        u = ahead - z
    primal, dual = np.linalg.norm(x - z), rho * np.linalg.norm(z - before)
    return z, rho * np.clip(np.sqrt(primal / max(dual, np.finfo(float).tiny)), 0.1, 10)


def curvature_to_zero(g, theta, strength, diagonal, largest_fall):
    """For each coordinate whose curvature is unknown, the curvature with which Newton's step ends at zero; else 0.

    A curvature is unknown if it would let q fall by more than ``largest_fall`` along its coordinate: that of a large
    coefficient, say, whose rows are all certain. Any smaller curvature makes a step to zero, too, because the step ends
    at zero. But a far smaller curvature makes the equilibrated coordinate so long that its step is lost in the
    rounding of the others.
    """
    pull = np.where(strength > 0, np.maximum(g * np.sign(theta) + strength, 0), 0.0)
    unknown = (theta != 0) & (pull > np.sqrt(np.maximum(diagonal, 0)) * np.sqrt(2 * largest_fall))
    return np.divide(pull, np.abs(theta), out=np.zeros_like(pull), where=unknown)


def coordinate_step(M, point, strength):
    """The point after the best step along a single coordinate; M has a unit diagonal."""
    x, slope, _ = point
    best = shrink(x - slope, strength)
    fall = (x - best) * slope - 0.5 * (x - best) ** 2 + strength * (np.abs(x) - np.abs(best))
    j = np.argmax(fall)
    return max(
        point, point_at(M, point, np.where(np.arange(len(x)) == j, best, x), strength), key=lambda point: point.fall
    )


def least_slope(x, slope, strength):
    """The subgradient with the smallest norm: 0 where x_j is zero and q does not fall along coordinate j."""
    return np.where(x == 0, shrink(slope, strength), slope + strength * np.sign(x))
