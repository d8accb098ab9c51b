r"""The minimum of a quadratic with an l1 penalty: where a proximal Newton step goes.

    q(x) = g^T (x - theta) + 1/2 (x - theta)^T M (x - theta) + sum_j lambda_j |x_j|

M is a Hessian, g the gradient at theta, lambda the strengths, 0 for what is not penalised; all arrays are flat. Two
methods take turns, in equilibrated coordinates, where M has a unit diagonal.

*Reduced Newton*, on the nonzeros, whose signs make q quadratic. A zero stays one, and a coordinate that reaches zero
along Newton's step stays there. From a good start, with the right zeros, it is at the minimum in a few steps.

*A descent that knows the kink* gets nearly all signs right, from any start. Which one depends on what is known of M.
The matrix: some tens of iterations of ADMM, with M + rho factorised once. The columns of an F with M = F^T F, of the
features in play among many: some sweeps of coordinate descent (``sweeps``). Products with vectors alone: a step of
steepest descent for the zeros whose slope exceeds lambda_j.

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

__all__ = ["INTERCEPT_FEATURE", "Columns", "Products", "least_slope", "minimise_formed", "minimise_roughly"]

MOST_ROUNDS = 20  # of reduced Newton and ADMM, at most
NEWTON_STEPS_PER_ROUND = 8  # of reduced Newton, at most, a round
ITERATIONS = 40  # of ADMM a round
RELAXATION = 1.6  # of ADMM
FINAL_PROGRESS, FAR_PROGRESS = 1e-6, 0.1  # of the fall so far: what the last round brought, at the end, and far from it
SLOPE_TOLERANCE = 1e-9  # of lambda: the slopes at the minimum
# Of the diagonal, for each parameter: more than rounding takes from directions without curvature.
RIDGE_PER_PARAMETER = 1e-14
MOST_OVERSHOOT = 1e3  # times the distance to zero: a step that would go so far beyond it is not told from a longer one
SWEEPS = 5  # of coordinate descent, at a time
INTERCEPT_FEATURE = 1e4  # the feature that carries the intercept where all parameters are penalised
NONZEROS_FORCING_TERM = 0.3  # the residual to which conjugate gradients solve
MOST_NONZERO_PRODUCTS = 15  # in one solve, at most: if it takes more, signs are about to change


class Spot(NamedTuple):
    """An x, the slope there of q's smooth part, and how far q has fallen on the way to it."""

    x: np.ndarray
    slope: np.ndarray
    fall: float


class Quadratic:
    """M, in equilibrated coordinates."""

    def balanced(self, x):
        """X, or another that M does not tell from it and whose penalty is less."""
        return x

    def freed(self, spot, strength):
        """The spot, or one with more off zero: after a step of steepest descent on zeros that ought not to be any."""
        v = least_slope(spot.x, spot.slope, strength)
        rising = np.where((spot.x == 0) & (strength > 0), v, 0.0)
        if not rising.any():
            return spot
        Mr = self.product(rising)
        curvature = rising @ Mr
        rate = rising @ rising / curvature if curvature > 0 else 1.0
        return Spot(spot.x - rate * rising, spot.slope - rate * Mr, spot.fall + 0.5 * rate * rising @ rising)


class Formed(Quadratic):
    """M as a matrix; ``balanced`` moves along a null space that is known."""

    def __init__(self, M, balanced):
        self.M, self.balanced = M, balanced

    def product(self, v):
        """M v."""
        return self.M @ v

    def solve(self, v, free, residual):
        """M^-1 v, on the coordinates that are free."""
        solution = np.zeros_like(v)
        free = np.flatnonzero(free)
        if len(free):
            solution[free] = Cholesky(self.M[np.ix_(free, free)]).solve(v[free])
        return solution


class Products(Quadratic):
    """M by a function for its products with vectors, and its diagonal, in the coordinates of theta."""

    def __init__(self, product, diagonal):
        self.unscaled, self.scale = product, equilibration(diagonal)

    def product(self, v):
        """M v."""
        return self.scale * self.unscaled(self.scale * v)

    def levelled(self, spot):
        """The spot's x, or one with a smaller slope along the intercept."""
        return spot.x

    def solve(self, v, free, residual):
        """M^-1 v, on the coordinates that are free, by conjugate gradients, which may be rough."""
        reduced = ConjugateGradients(lambda u: free * self.product(free * u), Jacobi(np.ones(len(v))), lambda r: inf)
        for products, iterate in enumerate(reduced.iterates(free * v)):
            if iterate.residual <= min(NONZEROS_FORCING_TERM, residual) or products == MOST_NONZERO_PRODUCTS:
                break
        return iterate.x


class Columns(Products):
    """M = F^T F + l2 by the columns of F, for a loss of |u + F d|^2 / 2 at a step d from theta.

    The last column of F is a feature of INTERCEPT_FEATURE. Its parameter is that part of the intercept, so its penalty
    is as good as none. Theta's features are measured from the centre, F's are not: a step of W moves the intercept.
    """

    def __init__(self, u, F, centre, squares, penalty, theta):
        self.F, self.FT, self.centre, self.penalty, self.theta = F, F.T, centre, penalty, theta
        self.scale = equilibration(squares + penalty.curvature(theta))
        self.y = F @ np.append(theta[:-1], 0.0) - u

    def unscaled(self, v):
        """M v, in the coordinates of theta."""
        Mv = self.FT @ (self.F @ self.outside(v))
        Mv[-1] /= INTERCEPT_FEATURE
        Mv[:-1] -= self.centre * Mv[-1]
        return Mv + self.penalty.gradient(v)

    def outside(self, d):
        """The parameters of F's columns."""
        return np.append(d[:-1], (d[-1] - self.centre @ d[:-1]) / INTERCEPT_FEATURE)

    def levelled(self, spot):
        """The spot's x, the intercept at its minimum, as a proof asks: one step, for M has a unit diagonal."""
        return np.append(spot.x[:-1], spot.x[-1] - spot.slope[-1])

    def freed(self, spot, strength):
        """The spot after some sweeps of coordinate descent, which takes one l1 and one l2 for all columns."""
        if self.penalty.uniform_strengths is None:
            return super().freed(spot, strength)
        x = self.scale * spot.x
        start = np.append(x[:-1], self.outside(x - self.theta)[-1])
        step = swept(self.F, self.y, start, *self.penalty.uniform_strengths, SWEEPS) - start
        x += np.append(step[:-1], INTERCEPT_FEATURE * step[-1] + self.centre @ step[:-1])
        return move(self, spot, x / self.scale, strength)


def minimise_formed(M, g, theta, strength, balanced, most):
    """The minimum of q, how far q falls on the way from theta to it, and whether it is the minimum indeed.

    M may have a null space that is known. Then ``balanced`` moves an x along it, to where the penalty is least. Where q
    falls by more than ``most`` it is no model of what it stands for, and its minimum is not looked for any further.
    Where it falls by a part of that, it is right to about that part: rounds that bring less are not worth their price.
    """
    diagonal = M.diagonal()
    scale = equilibration(np.maximum(diagonal, curvature_to_zero(g, theta, strength, diagonal, most) / MOST_OVERSHOOT))
    M = Formed(scale[:, None] * M * scale, lambda x: balanced(scale * x) / scale)
    np.einsum("ii->i", M.M)[:] = 1 + RIDGE_PER_PARAMETER * len(g)  # also where no curvature is seen: any will do
    strength = strength * scale
    spot, rho = Spot(theta / scale, scale * g, 0.0), 0.1
    for _ in range(MOST_ROUNDS):
        before = spot.fall
        spot, settled = reduced_newton(M, spot, strength, NEWTON_STEPS_PER_ROUND)
        if not settled:
            spot = coordinate_step(M, spot, strength)  # or a round that brings nothing would prove nothing
        enough = max(FINAL_PROGRESS, min(FAR_PROGRESS, spot.fall / most))
        settled = (settled or spot.fall - before <= enough * spot.fall) and spot.fall <= most
        if settled or spot.fall > most:
            break
        spot, rho = admm(M, spot, strength, rho)
    return scale * spot.x, spot.fall, settled


def minimise_roughly(M, g, theta, strength, rtol):
    """A point where the slope of q is a part rtol of that at theta, or not much more; and how far q falls to there.

    M is ``Products`` or ``Columns``.
    """
    spot, _ = reduced_newton(
        M, Spot(theta / M.scale, M.scale * g, 0.0), strength * M.scale, NEWTON_STEPS_PER_ROUND, rtol
    )
    return M.scale * M.levelled(spot), spot.fall


def reduced_newton(M, spot, strength, steps, rtol=0.0):
    """Steps on the nonzeros and what leaves zero; whether they end at the minimum, or at a slope that is a part rtol.

    Zeros are freed only where the last step was whole: else the same ones would leave zero and come back.
    """
    v = least_slope(spot.x, spot.slope, strength)
    goal = rtol * np.linalg.norm(v)
    whole = True
    for i in range(steps):
        if np.linalg.norm(v) <= goal or (i and whole and (np.abs(v) <= SLOPE_TOLERANCE * strength)[strength > 0].all()):
            return spot, True
        if whole:
            spot = M.freed(spot, strength)
            v = least_slope(spot.x, spot.slope, strength)
            if np.linalg.norm(v) <= goal:
                return spot, True
        free = (spot.x != 0) | (strength == 0)
        residual = goal / max(np.linalg.norm(v), np.finfo(float).tiny)
        spot, whole = step_within_signs(M, spot, -M.solve(np.where(free, v, 0.0), free, residual), strength)
        v = least_slope(spot.x, spot.slope, strength)
    return spot, False


def step_within_signs(M, spot, direction, strength):
    """A step along a direction, each penalised coordinate that reaches zero staying there; whether none did.

    Where some do, a full step may be too long: the best of it, a quarter of it, and so on to the first zero. No step is
    taken that q rises by: where M is singular, the direction may be nothing but rounding.
    """
    x = spot.x
    meets = (strength > 0) & (x * direction < 0)
    ratio = np.divide(-x, direction, out=np.full_like(x, np.inf), where=meets)
    first = min(1.0, ratio.min())
    best, rate = move(M, spot, np.where(ratio <= 1, 0.0, x + direction), strength), 1.0
    while rate > first:
        rate = max(rate / 4, first)
        shorter = move(M, spot, np.where(ratio <= rate, 0.0, x + rate * direction), strength)
        if best.fall > max(shorter.fall, spot.fall):
            break
        best = max(shorter, best, key=lambda spot: spot.fall)
    return max(spot, best, key=lambda spot: spot.fall), first == 1


def move(M, spot, x, strength):
    """The spot at x, or better."""
    x = M.balanced(x)
    s = x - spot.x
    Ms = M.product(s)
    change = spot.slope @ s + 0.5 * s @ Ms + strength @ (np.abs(x) - np.abs(spot.x))
    return Spot(x, spot.slope + Ms, spot.fall - change)


def admm(M, spot, strength, rho):
    """The better of a spot and the one that some iterations of ADMM find from there; and a better rho.

    x := (M + rho)^-1 (rho (z - u) - c),  z := shrink(x + u, lambda / rho),  u := u + x - z, with x over-relaxed.
    """
    x, slope, _ = spot
    c = slope - M.product(x)
    factor = Cholesky(M.M + rho * np.eye(len(c)))
    z, u = x, -slope / rho
    for _ in range(ITERATIONS):
        before = z
        x = factor.solve(rho * (z - u) - c)
        ahead = RELAXATION * x + (1 - RELAXATION) * z + u
        z = shrink(ahead, strength / rho)
        u = ahead - z
    primal, dual = np.linalg.norm(x - z), rho * np.linalg.norm(z - before)
    rho *= np.clip(np.sqrt(primal / max(dual, np.finfo(float).tiny)), 0.1, 10)
    return max(spot, move(M, spot, z, strength), key=lambda spot: spot.fall), rho


def curvature_to_zero(g, theta, strength, diagonal, most):
    """The curvature with which Newton's step along a coordinate ends at zero, where its own is as good as none; else 0.

    As of a large coefficient whose rows are all certain: by its own curvature q would fall by more than ``most``. Far
    less than this one would do as well, for zero is where the step ends; but coordinates equilibrated by it are so
    long that the step there is lost in the rounding of the others.
    """
    pull = np.where(strength > 0, np.maximum(g * np.sign(theta) + strength, 0), 0.0)
    unknown = (theta != 0) & (pull > np.sqrt(np.maximum(diagonal, 0)) * np.sqrt(2 * most))
    return np.divide(pull, np.abs(theta), out=np.zeros_like(pull), where=unknown)


def coordinate_step(M, spot, strength):
    """The best step along a single coordinate: M has a unit diagonal."""
    x, slope, _ = spot
    best = shrink(x - slope, strength)
    fall = (x - best) * slope - 0.5 * (x - best) ** 2 + strength * (np.abs(x) - np.abs(best))
    j = np.argmax(fall)
    return max(spot, move(M, spot, np.where(np.arange(len(x)) == j, best, x), strength), key=lambda spot: spot.fall)


def least_slope(x, slope, strength):
    """The subgradient with the smallest norm: 0 where x_j is zero and shall stay so."""
    return np.where(x == 0, shrink(slope, strength), slope + strength * np.sign(x))
