"""The line search of a quasi-Newton step, for which value and slope of J cost no pass.

The rate must lower J by a share of what its slope promises, and leave little of the slope (the strong Wolfe
conditions):

    J(theta + rate d)  <=  J(theta) + c1 rate g^T d,        |slope at the rate|  <=  c2 |g^T d|.

The first condition is Armijo's. The second prevents steps that are too short, because the secant pair of a short step
does not improve the next metric. J is convex, so slopes of opposite signs bracket the minimum along the line, and the
secant between them finds the minimum.

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
MOST_GROWTH = 10.0  # next rate / last rate, while no rate is known to be too long
LEAST_MARGIN = 0.05  # distance of the next rate from an end of the bracket / length of the bracket


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
    """The rate in a bracket at which the secant of the slopes is zero; in the lower half if J is higher at its end.

    Rows on the wrong side make J a straight line near that end, so the secant alone would stay near the end.
    """
    rise = high.slope - low.slope
    share = -low.slope / rise if isfinite(rise) and rise > 0 else LEAST_MARGIN
    largest_share = 1 - LEAST_MARGIN if high.value <= low.value else 0.5
    return low.rate + (high.rate - low.rate) * min(max(share, LEAST_MARGIN), largest_share)


def beyond(start: Trial, low: Trial) -> float:
    """The rate beyond the last one at which the secant of the slopes is zero."""
    rise = low.slope - start.slope
    further = -start.slope / rise if rise > 0 else inf
    return low.rate * min(max(further, 1.5), MOST_GROWTH)
