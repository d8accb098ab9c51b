r"""The minimum of a quadratic with an l1 penalty: where a proximal Newton step goes.

    q(x) = g^T (x - theta) + 1/2 (x - theta)^T M (x - theta) + sum_j lambda_j |x_j|

M is a Hessian, g the gradient at theta, lambda the strengths, 0 for what is not penalised; all arrays are flat. Two
methods take turns, in equilibrated coordinates, where M has a unit diagonal:

*Reduced Newton*, on the nonzeros, whose signs make q quadratic. A zero stays one unless the slope there exceeds
lambda_j; then a step of steepest descent takes it off zero. Newton's step follows, along which a coordinate that
reaches zero stays there. From a good start, it is at the exact minimum in a few steps.

*ADMM*, where M is formed. From a bad start many signs are wrong, and if features are correlated reduced Newton rights
few at a time. With M + rho factorised once, some tens of cheap iterations get nearly all of them right.

References
----------
Chen, Curtis and Robinson, "FaRSA for l1-regularized convex optimization", Optim. Methods Softw. 33 (2018).
Boyd et al., "Distributed optimization and statistical learning via ADMM", Found. Trends Mach. Learn. 3 (2011), sections
3.4.1 (rho), 3.4.3 (over-relaxation) and 6.4 (the lasso).
"""

from collections.abc import Callable
from math import inf
from typing import NamedTuple

import numpy as np

from ..curvature import Cholesky, ConjugateGradients, Jacobi, equilibration
from ..penalty import shrink

__all__ = ["least_slope", "minimise_formed", "minimise_with_products"]

ROUNDS = 20  # of reduced Newton and ADMM, at most
STEPS = 8  # of reduced Newton a round
ITERATIONS = 40  # of ADMM a round
RELAXATION = 1.6  # of ADMM
SETTLED = 1e-6  # of the fall so far: what the last round brought, at the end
PRECISION = 1e-9  # of lambda: the slopes at the minimum
FLAT = 1e-14  # of the diagonal, for each parameter: more than rounding takes from directions without curvature
FORCING = 0.3  # the residual to which conjugate gradients solve
PRODUCTS = 15  # in one solve, at most: if it takes more, signs are about to change


class Spot(NamedTuple):
    """An x, the slope there of q's smooth part, and how far q has fallen on the way to it."""

    x: np.ndarray
    slope: np.ndarray
    fall: float


class Formed:
    """M as a matrix, and ``balanced``, which makes the penalty of an x less where M sees no difference."""

    def __init__(self, M, balanced):
        self.M, self.balanced = M, balanced

    def product(self, v):
        """M v."""
        return self.M @ v

    def solve(self, v, free):
        """M^-1 v, on the coordinates that are free."""
        solution = np.zeros_like(v)
        free = np.flatnonzero(free)
        if len(free):
            solution[free] = Cholesky(self.M[np.ix_(free, free)]).solve(v[free])
        return solution


class Products(NamedTuple):
    """M as a function v -> M v."""

    product: Callable

    def balanced(self, x):
        """As it is: the null space of M is not known."""
        return x

    def solve(self, v, free):
        """M^-1 v, on the coordinates that are free, by conjugate gradients."""
        reduced = ConjugateGradients(lambda u: free * self.product(free * u), Jacobi(np.ones(len(v))), lambda r: inf)
        for products, iterate in enumerate(reduced.iterates(free * v)):
            if iterate.residual <= FORCING or products == PRODUCTS:
                break
        return iterate.x


def minimise_formed(M, g, theta, strength, balanced, most):
    """The minimum of q, how far q falls on the way from theta to it, and whether it is the minimum indeed.

    M may have a null space that is known. Then ``balanced`` moves an x along it, to where the penalty is least. Where q
    falls by more than ``most`` it is no model of what it stands for, and its minimum is not looked for any further.
    """
    scale = equilibration(M.diagonal())
    M = Formed(scale[:, None] * M * scale, lambda x: balanced(scale * x) / scale)
    np.einsum("ii->i", M.M)[:] = 1 + FLAT * len(g)  # also where no curvature is seen: any will do
    strength = strength * scale
    spot, rho = Spot(theta / scale, scale * g, 0.0), 0.1
    for _ in range(ROUNDS):
        before = spot.fall
        spot, settled = reduced_newton(M, spot, strength, STEPS)
        settled = (settled or spot.fall - before <= SETTLED * spot.fall) and spot.fall <= most
        if settled or spot.fall > most:
            break
        spot, rho = admm(M, spot, strength, rho)
    return scale * spot.x, spot.fall, settled


def minimise_with_products(product, diagonal, g, theta, strength, rtol):
    """A point where the slope of q is a part rtol of that at theta, or not much more; and how far q falls to there."""
    scale = equilibration(diagonal)
    M = Products(lambda v: scale * product(scale * v))
    spot, _ = reduced_newton(M, Spot(theta / scale, scale * g, 0.0), strength * scale, STEPS, rtol)
    return scale * spot.x, spot.fall


def reduced_newton(M, spot, strength, steps, rtol=0.0):
    """Steps on the nonzeros and those that leave zero; whether the last has reached the minimum."""
    goal = rtol**2 * np.sum(least_slope(spot.x, spot.slope, strength) ** 2)
    whole = True
    for i in range(steps):
        v = least_slope(spot.x, spot.slope, strength)
        free = (spot.x != 0) | (strength == 0)
        rising = np.where(free, 0.0, v)
        if v @ v <= goal or (i and whole and (np.abs(v) <= PRECISION * strength)[strength > 0].all()):
            return spot, True
        if whole and rising.any():
            Mr = M.product(rising)
            curvature = rising @ Mr
            rate = rising @ rising / curvature if curvature > 0 else 1.0
            spot = Spot(spot.x - rate * rising, spot.slope - rate * Mr, spot.fall + 0.5 * rate * rising @ rising)
            free = (spot.x != 0) | (strength == 0)
            v = least_slope(spot.x, spot.slope, strength)
        spot, whole = step_within_signs(M, spot, -M.solve(np.where(free, v, 0.0), free), strength)
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


def least_slope(x, slope, strength):
    """The subgradient with the smallest norm: 0 where x_j is zero and shall stay so."""
    return np.where(x == 0, shrink(slope, strength), slope + strength * np.sign(x))
