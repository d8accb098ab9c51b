"""The loosest setting of a method that reaches the goal, an objective, with the attempts on the way to it."""

import math
from statistics import median

import numpy as np

from .attempt import fit
from .peers import Stop


def search(method, problem, best, goal, limit, by_tol):
    """Every attempt, and the loosest that reaches the goal; where none does, the one that came closest."""
    if method.ladder == "tol":
        tried = _search_tol(method, problem, goal)
    else:
        tried = _search_iterations(method, problem, best, goal, limit)
    reached = [attempt for attempt in tried if attempt.objective <= goal]
    if not reached:
        return tried, min(tried, key=lambda attempt: (attempt.objective, attempt.seconds))
    if method.ladder == "tol":
        return tried, max(reached, key=lambda attempt: attempt.stop.tol)
    fewest = min(reached, key=lambda attempt: attempt.iterations)
    if not by_tol:
        return tried, fewest
    for tol in 10.0 ** -np.arange(1, 14):
        tried.append(fit(method, problem, Stop(4 * fewest.iterations + 10, tol)))
        if tried[-1].objective <= goal:
            return tried, tried[-1]
    return tried, fewest


def _search_tol(method, problem, goal):
    """All decades down to 1e-8, for the figure, and further while the goal is not reached."""
    tried = []
    for tol in 10.0 ** -np.arange(1, 14):
        fits = [fit(method, problem, Stop(tol=tol), seed) for seed in method.seeds]
        worst = max(fits, key=lambda attempt: attempt.objective)
        tried.append(worst._replace(seconds=median(attempt.seconds for attempt in fits)))
        if tol < 1.5e-8 and worst.objective <= goal:
            break
    return tried


def _search_iterations(method, problem, best, goal, limit):
    """Climb until the goal, the limit or the solver's own end; then narrow the bracket between failure and success.

    It ends where the fewest iterations are known to a tenth, or the gap is within a factor of three of the target.
    """
    first = fit(method, problem, Stop(1))  # pays for imports
    tried = [first if first.seconds > limit else _steady(method, problem, 1)]
    while (last := tried[-1]).objective > goal:
        affordable = _affordable(tried, limit)
        if last.ended or affordable < 1.2 * last.iterations:
            return tried
        expected = _crossing(*tried[-2:], best, goal) if len(tried) > 1 else math.inf
        following = min(max(expected, 1.5 * last.iterations + 1), 4 * last.iterations, affordable)
        tried.append(_steady(method, problem, int(following)))
    if len(tried) == 1:
        return tried
    low, high = tried[-2:]
    spent = 0.0
    while (
        high.iterations - low.iterations > max(1, high.iterations // 10)
        and 3 * (high.objective - best) < goal - best
        and spent < limit
    ):
        margin = max(1, (high.iterations - low.iterations) // 8)
        expected = _crossing(low, high, best, goal) if math.isfinite(low.objective) else low.iterations
        middle = _steady(method, problem, int(min(max(expected, low.iterations + margin), high.iterations - margin)))
        tried.append(middle)
        spent += middle.seconds
        low, high = (low, middle) if middle.objective <= goal else (middle, high)
    return tried


def _affordable(tried, limit):
    """The iterations that fit in the limit, as the time grew between the last two attempts; at least linearly."""
    last, growth = tried[-1], 1.0
    if len(tried) > 1:
        before = tried[-2]
        growth = max(1.0, math.log(last.seconds / before.seconds) / math.log(last.iterations / before.iterations))
    return int(last.iterations * (limit / last.seconds) ** (1 / growth))


def _crossing(a, b, best, goal):
    """The iterations at which the line through (iterations, log gap) of two attempts is a little below the goal."""
    if not best < b.objective < a.objective < math.inf:
        return math.inf if b.objective > best else (a.iterations + b.iterations) / 2
    drop = math.log((a.objective - best) / (b.objective - best))
    wanted = math.log((a.objective - best) / (goal - best)) + 0.5
    return a.iterations + (b.iterations - a.iterations) * wanted / drop


def _steady(method, problem, max_iter):
    """A fit; its time is the median of three if it is short."""
    attempt = fit(method, problem, Stop(max_iter))
    if attempt.seconds > 0.05:
        return attempt
    more = [fit(method, problem, Stop(max_iter)).seconds for _ in range(2)]
    return attempt._replace(seconds=median([attempt.seconds, *more]))
