"""The line search: how far to go in a direction.

The rate is the first of 1, 1/2, 1/4, ... at which J falls by a share c of what its slope promises (Armijo's condition):

    J(theta + rate d)  <=  J(theta) + c rate (g^T d + R1(theta + d) - R1(theta)),    c = 1e-4,

where g is the gradient of J's smooth part and R1 is the penalty's part without a gradient. A rise of J by no more than
its rounding is accepted, too, because near the minimum the rounding hides the fall.

References
----------
Nocedal and Wright, "Numerical Optimization" (2006), section 3.1.
Lee, Sun and Saunders, "Proximal Newton-type methods for minimizing composite functions", SIAM J. Optim. 24 (2014).
"""

from collections.abc import Callable

import numpy as np

from ..objective import Overflow, Point, overflow_raised

__all__ = ["line_search"]

ARMIJO = 1e-4  # c, Nocedal and Wright's value


def line_search(
    objective,
    point: Point,
    direction: np.ndarray,
    at: Callable[[float], Point],
    least: float = 0.0,
    part: float = ARMIJO,
) -> tuple[Point, float]:
    """The point at the first rate that lowers J enough, and that rate; the point itself and 0 where no rate does.

    ``at(rate)`` is the point theta + rate direction, with J and its gradient. A rate at which J or its gradient
    overflows is too large. No rate below ``least`` is tried; ``part`` is c.
    """
    penalty, slope = objective.penalty, float(np.vdot(point.gradient, direction))
    if not penalty.is_smooth:
        slope += penalty.nonsmooth_value(point.theta + direction) - penalty.nonsmooth_value(point.theta)
    slack = objective.resolution * abs(point.value)
    rate = 1.0
    while rate >= max(least, objective.resolution):
        try:
            with overflow_raised():
                new = at(rate)
            if new.value <= point.value + part * rate * slope + slack:
                return new, rate
        except Overflow:
            pass
        rate /= 2
    return point, 0.0
