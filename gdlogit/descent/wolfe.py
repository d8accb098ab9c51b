"""The line search of a quasi-Newton step: how far to go in a direction, where value and slope cost no pass.

The rate must lower J by a part of what its slope promises, and leave little of the slope (the strong Wolfe conditions):

    J(theta + rate d)  <=  J(theta) + c1 rate g^T d,        |slope at the rate|  <=  c2 |g^T d|.

The first is Armijo's. The second keeps a step from being too short: what a short step shows of the curvature makes the
next metric no better. J is convex, so slopes of opposite signs bracket the minimum along the line, and the secant
between them finds it.

References
----------
Nocedal and Wright, "Numerical Optimization" (2006), section 3.1.
"""

from collections.abc import Callable
from math import inf, isfinite
from typing import Any, NamedTuple

from ..objective import Overflow, overflow_raised

__all__ = ["Trial", "search"]

ARMIJO, SLOPE = 1e-4, 0.5  # c1, c2
MOST_TRIALS = 40
LONGER = 10.0  # times the last rate, at most, while no rate is known to be too long
WITHIN = 0.05  # of a bracket's length, at least, is between its ends and the next rate


class Trial(NamedTuple):
    """J and its slope in the rate, at a rate; and what else is known there."""

    rate: float
    value: float
    slope: float
    known: Any = None


TOO_LONG = Trial(0.0, inf, inf)


def search(at: Callable[[float], Trial], start: Trial, slack: float) -> Trial:
    """The first trial that satisfies both conditions, or the lowest of those that satisfy Armijo's; else ``start``.

    ``slack`` is the rounding of J: near the minimum, no smaller rise is to be seen.
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
            low = trial
        else:
            high = trial._replace(rate=rate)
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
    """Where the secant of the slopes meets zero, within a bracket; in the lower half where J is higher at its end.

    The secant alone would stay near that end, where rows on the wrong side make J a straight line.
    """
    rise = high.slope - low.slope
    share = -low.slope / rise if isfinite(rise) and rise > 0 else WITHIN
    most = 1 - WITHIN if high.value <= low.value else 0.5
    return low.rate + (high.rate - low.rate) * min(max(share, WITHIN), most)


def beyond(start: Trial, low: Trial) -> float:
    """Where the secant of the slopes meets zero, beyond the last rate."""
    rise = low.slope - start.slope
    further = -start.slope / rise if rise > 0 else inf
    return low.rate * min(max(further, 1.5), LONGER)
