"""The line search of a quasi-Newton step, for which value and slope of J cost no pass.

The rate must lower J by a share of what its slope promises, and leave little of the slope (the strong Wolfe
conditions):

    J(theta + rate d)  <=  J(theta) + c1 rate g^T d,        |slope at the rate|  <=  c2 |g^T d|.

The first condition is Armijo's. The second prevents steps that are too short, because the secant pair of a short step
does not improve the next metric. J is convex, so slopes of opposite signs bracket the minimum along the line, and the
cubic through the values and slopes at both ends finds it.

References
----------
Nocedal and Wright, "Numerical Optimization" (2006), sections 3.1 and 3.5.
"""

from collections.abc import Callable
from math import inf, isfinite, sqrt
from typing import Any, NamedTuple

import numpy as np

from ..objective import Overflow, overflow_raised

__all__ = ["Trial", "search"]

ARMIJO, SLOPE = 1e-4, 0.5  # c1, c2
MOST_TRIALS = 40
MOST_RATE_GROWTH = 10.0  # next rate / last rate, while no rate is known to be too long
LEAST_MARGIN = 0.05  # distance of the next rate from an end of the bracket / length of the bracket


TINY = float(np.finfo(float).tiny)


class Trial(NamedTuple):
    """J and its slope in the rate, at a rate; ``known`` has the caller's own values there."""

    rate: float
    value: float
    slope: float
    known: Any = None


TOO_LONG = Trial(0.0, inf, inf)


def search(at: Callable[[float], Trial], start: Trial, slack: float) -> Trial:
    """The first trial that satisfies both conditions; or the lowest that satisfies Armijo's; otherwise ``start``.

    ``slack`` is the rounding of J; near the minimum, a smaller rise cannot be seen.
    """
    low, high, best, rate = start, TOO_LONG, start, 1.0
    for _ in range(MOST_TRIALS):
        trial = tried(at, rate)
        falls = trial.value <= start.value + ARMIJO * rate * start.slope + slack
        if falls and (best is start or trial.value < best.value):
            best = trial
        if falls and abs(trial.slope) <= SLOPE * abs(start.slope):
            return trial
        if falls and trial.slope < 0:
            low = trial._replace(known=None)  # which may be large
        else:
            high = trial._replace(rate=rate, known=None)
        rate = between(low, high) if high.rate else beyond(start, low)
        if rate == low.rate:
            break
    return best


def tried(at, rate):
    """The trial at a rate; J is infinite where a number overflows."""
    try:
        with overflow_raised():
            return at(rate)
    except Overflow:
        return TOO_LONG


def between(low: Trial, high: Trial) -> float:
    """The rate in a bracket at which the cubic through both values and slopes is lowest; not too near an end.

    The rate is in the lower half if J is higher at the bracket's end. Rows on the wrong side make J a straight line
    near that end, so the secant of the slopes would stay near the other end, trial after trial.
    """
    length = high.rate - low.rate
    largest_share = 1 - LEAST_MARGIN if high.value <= low.value else 0.5
    return low.rate + length * min(max(share_of_cubic(low, high, length), LEAST_MARGIN), largest_share)


def share_of_cubic(low: Trial, high: Trial, length: float) -> float:
    """Where in a bracket the cubic is lowest: Nocedal and Wright, equation 3.59; 0 where a number overflows."""
    if not isfinite(high.value + high.slope):
        return 0.0
    unit = max(-low.slope, abs(high.slope))  # the square of a slope may overflow
    first, last, rise = float(low.slope / unit), float(high.slope / unit), float((high.value - low.value) / unit)
    middle = first + last - 3 * rise / length
    root = sqrt(max(middle**2 - first * last, 0.0))
    return 1 - (last + root - middle) / max(last - first + 2 * root, TINY)


def beyond(start: Trial, low: Trial) -> float:
    """The rate beyond the last one at which the secant of the slopes is zero."""
    rise = low.slope - start.slope
    further = -start.slope / rise if rise > 0 else inf
    return low.rate * min(max(further, 1.5), MOST_RATE_GROWTH)
