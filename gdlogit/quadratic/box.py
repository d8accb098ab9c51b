r"""The minimum of a quadratic within bounds, with an l1 penalty: the end of a step of Newton's method.

    q(x) = g^T (x - theta) + 1/2 (x - theta)^T M (x - theta) + sum_j l1_j |x_j|,    low <= x <= high

The method is two-metric projection. A coordinate at a bound is fixed if its slope pushes it out of the bounds. The
other coordinates take Newton's step, clipped to the bounds, and halved until q falls enough. With an l1 penalty, the
step is also clipped to the orthant of x. For a zero, that is the side to which its slope points; a zero whose slope is
less than l1_j stays zero.

Where l1 is weak and the bounds are tight, many coordinates of a step meet a bound or a zero, and the steps get short.
So every few steps take turns with iterations of ADMM, which see all bounds and kinks at once (see ``lasso``).

References
----------
Bertsekas, "Projected Newton methods for optimization problems with simple constraints", SIAM J. Control Optim. 20
(1982).
"""

import numpy as np

from ..penalty import shrink
from .curvature import Cholesky, equilibration
from .lasso import split

__all__ = ["minimise_in_box"]

MOST_BOX_STEPS = 200  # each coordinate that meets a bound may take a step
LEAST_PROMISE = 1e-10  # promised fall of a step / fall so far: less ends the steps
ARMIJO = 1e-4  # as in ``armijo``
MOST_HALVINGS = 40
STEPS_PER_ROUND = 8  # then ADMM: most models need fewer, and those that need more need up to hundreds
FIRST_RHO = 0.1  # as in ``minimise_formed``


def minimise_in_box(M, g, theta, strength, low, high, definite, value):
    """The minimum of q, the fall of q from theta to the minimum, and whether the minimum was found.

    ``definite`` is a function of a mask: M for the coordinates that the mask has, definite but for rounding. q is a
    model of J, and ``value`` is J at theta. Where rounding ends the search, the fall includes what the last step
    promised.
    """
    x, fall = np.clip(theta, low, high), 0.0  # theta is within the bounds up to rounding
    slope = g + M @ (x - theta)
    # A relative change by eps of theta, or of the terms of g, changes q by about this much.
    rounding = len(x) * np.finfo(float).eps ** 2 * (value + float(M.diagonal() @ theta**2))
    rho = FIRST_RHO
    for i in range(1, MOST_BOX_STEPS + 1):
        if i % STEPS_PER_ROUND == 0:
            x, slope, change, rho = by_admm(M, x, slope, strength, low, high, rho)
            fall -= change
        sign, least, most = orthant(x, slope, strength, low, high)
        pull = slope + strength * sign
        movable = ~(((x <= least) & (pull >= 0)) | ((x >= most) & (pull <= 0)))
        if not movable.any():
            return x, fall, True
        direction = np.zeros_like(x)
        direction[movable] = -Cholesky(definite(movable)).solve(pull[movable])
        promised = -0.5 * float(pull @ direction)
        if promised <= max(rounding, np.finfo(float).tiny):
            return x, fall, True
        x, slope, change = projected(M, x, slope, pull, direction, least, most)
        fall -= change
        if promised <= LEAST_PROMISE * fall:
            return x, fall, True
        if change == 0:
            return x, fall + promised, True
    return x, fall, False


def orthant(x, slope, strength, low, high):
    """The sign of each coordinate, 0 for zeros that stay zero; the bounds, narrowed to the orthant where l1 > 0."""
    kinked = strength > 0
    sign = np.where(x != 0, np.sign(x), -np.sign(slope) * (np.abs(slope) > strength)) * kinked
    least = np.where(kinked & (sign >= 0), np.maximum(low, 0), low)
    most = np.where(kinked & (sign <= 0), np.minimum(high, 0), high)
    return sign, np.minimum(least, np.where(x < least, x, least)), np.maximum(most, np.where(x > most, x, most))


def projected(M, x, slope, pull, direction, least, most):
    """The end of the step along a direction, clipped to the bounds; the slope there; and the change of q."""
    rate = 1.0
    for _ in range(MOST_HALVINGS):
        s = np.clip(x + rate * direction, least, most) - x
        Ms = M @ s
        linear = float(pull @ s)
        change = linear + 0.5 * float(s @ Ms)
        if change <= ARMIJO * linear and change < 0:
            return np.clip(x + rate * direction, least, most), slope + Ms, change
        rate /= 2
    return x, slope, 0.0


def by_admm(M, x, slope, strength, low, high, rho):
    """The better of x and the point that ADMM finds from x; the slope there; the change of q; and a better rho."""
    scale = equilibration(M.diagonal())
    least, most = low / scale, high / scale
    z, rho = split(
        scale[:, None] * M * scale,
        x / scale,
        scale * slope,
        lambda v, rho: np.clip(shrink(v, scale * strength / rho), least, most),
        rho,
    )
    end = np.where(z <= least, low, np.where(z >= most, high, scale * z))
    s = end - x
    Ms = M @ s
    change = float(slope @ s) + 0.5 * float(s @ Ms) + float(strength @ (np.abs(end) - np.abs(x)))
    return (end, slope + Ms, change, rho) if change < 0 else (x, slope, 0.0, rho)
