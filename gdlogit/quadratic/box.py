r"""The minimum of a quadratic within bounds, with an l1 penalty: where a step of Newton's method goes.

    q(x) = g^T (x - theta) + 1/2 (x - theta)^T M (x - theta) + sum_j l1_j |x_j|,    low <= x <= high

Two-metric projection: a coordinate that is at a bound, and that the slope pushes out, is fixed; the others take
Newton's step, moved into the bounds, halved until q falls enough. With an l1 penalty the bounds are those of the
orthant of x, too; a zero is in the orthant that its slope points to, and stays where the slope is less than l1_j.

References
----------
Bertsekas, "Projected Newton methods for optimization problems with simple constraints", SIAM J. Control Optim. 20
(1982).
"""

import numpy as np

from .curvature import Cholesky

__all__ = ["minimise_in_box"]

MOST_BOX_STEPS = 200  # at most; as many as coordinates that meet a bound one after another
PRECISION = 1e-10  # of the fall so far: what another step may bring
ARMIJO = 1e-4
HALVINGS = 40


def minimise_in_box(M, g, theta, strength, low, high):
    """The minimum of q, how far q falls on the way from theta to it, and whether it is the minimum indeed.

    Where rounding ends the way, what the last step has promised counts, too.
    """
    x, fall = np.clip(theta, low, high), 0.0  # theta is within the bounds but for rounding
    slope = g + M @ (x - theta)
    for _ in range(MOST_BOX_STEPS):
        sign, least, most = orthant(x, slope, strength, low, high)
        pull = slope + strength * sign
        free = ~(((x <= least) & (pull >= 0)) | ((x >= most) & (pull <= 0)))
        if not free.any():
            return x, fall, True
        direction = np.zeros_like(x)
        direction[free] = -Cholesky(M[np.ix_(free, free)]).solve(pull[free])
        promised = -0.5 * float(pull @ direction)
        if promised <= np.finfo(float).tiny:
            return x, fall, True
        x, slope, change = projected(M, x, slope, pull, direction, least, most)
        fall -= change
        if promised <= PRECISION * fall:
            return x, fall, True
        if change == 0:
            return x, fall + promised, True
    return x, fall, False


def orthant(x, slope, strength, low, high):
    """The sign of each coordinate, 0 for zeros that stay, and the bounds of the orthant; without l1 just the bounds."""
    kinked = strength > 0
    sign = np.where(x != 0, np.sign(x), -np.sign(slope) * (np.abs(slope) > strength)) * kinked
    least = np.where(kinked & (sign >= 0), np.maximum(low, 0), low)
    most = np.where(kinked & (sign <= 0), np.minimum(high, 0), high)
    return sign, np.minimum(least, np.where(x < least, x, least)), np.maximum(most, np.where(x > most, x, most))


def projected(M, x, slope, pull, direction, least, most):
    """The step along a direction that is moved into the bounds, the slope there, and by how much q changes."""
    rate = 1.0
    for _ in range(HALVINGS):
        s = np.clip(x + rate * direction, least, most) - x
        Ms = M @ s
        linear = float(pull @ s)
        change = linear + 0.5 * float(s @ Ms)
        if change <= ARMIJO * linear and change < 0:
            return np.clip(x + rate * direction, least, most), slope + Ms, change
        rate /= 2
    return x, slope, 0.0
