"""How it is measured.

First each method's loosest setting that reaches the target gap is searched. Then ours, ours at default parameters, the
peer, and one read (``X @ w``) are timed in turns in this one process, and medians are compared. The gap of a row is the
worst over its turns. The memory is measured in a run that is not timed: the peak of what NumPy allocates during fit
(what compiled code allocates by itself, as in liblinear and cyanure, does not show). A method's first fit, of a few
rows, is not counted but stated as its warm-up: skglm is compiled in it.
"""

import gc
import math
import time
from statistics import median
from typing import NamedTuple

import numpy as np

from .attempt import Attempt, fit, peak_memory, warm_up
from .optimum import best_known
from .peers import DEFAULT, LOOSEST, NEVER, Stop
from .search import search


class Row(NamedTuple):
    """One line of the table: a method on a problem."""

    data: str
    n: int
    p: int
    classes: int
    C: float
    l1_ratio: float
    target: float
    absolute: bool
    best: float
    excess: float  # estimate of best - min J
    method: str
    family: str
    setting: str
    turns: int
    seconds: float
    read_seconds: float
    ours_seconds: float
    default_seconds: float
    calm: bool  # whether ours took about as long in these turns as alone; if not, the machine was busy
    objective: float
    loss: float
    warned: str
    memory: float  # peak, in bytes
    memory_share: float  # of the bytes of X
    warm_up: float  # seconds of the first fit of a few rows
    curve: list  # (seconds, objective) of each setting tried

    @property
    def gap(self):
        """Distance to the best known minimum: absolute or relative, as the target is."""
        return (self.objective - self.best) / (1 if self.absolute else self.best)

    @property
    def reached(self):
        """Whether the gap is within the target."""
        return self.gap <= self.target

    @property
    def reads(self):
        """The time, in reads of X."""
        return self.seconds / self.read_seconds

    @property
    def ratio(self):
        """How many times slower than ours at the loosest tol; 0 where ours failed."""
        return self.seconds / self.ours_seconds

    @property
    def ratio_default(self):
        """How many times slower than ours at default parameters; 0 where ours failed."""
        return self.seconds / self.default_seconds


def compare(problem, methods, *, time_limit, most_turns, by_tol=False):
    """Measure ours and each method on a problem.

    Parameters
    ----------
    problem : Problem
        What to fit.
    methods : list of Method
        The peers.
    time_limit : float
        Seconds that a search may want for one fit. On problems that ours solves fast it is less: 50 times ours.
    most_turns : int
        Most turns; slow fits get fewer, at least 3, or 2 if one turn takes more than 5 s.
    by_tol : bool, default=False
        Whether peers stop by the loosest tolerance that reaches the gap, rather than by the fewest iterations.

    Yields
    ------
    Row
        Ours twice, then one per method that applies. Where ours fails, the peers are measured all the same.
    """
    gc.collect()
    gc.freeze()  # what is imported by now: else every collection before a fit would go through it
    optimum = best_known(problem)
    best = optimum.value
    goal = best + problem.target * (1 if problem.absolute else best)
    warm = warm_up(LOOSEST, problem)
    fit(LOOSEST, problem, Stop(tol=0.1))  # the first fit pays for imports and caches
    default = fit(DEFAULT, problem, Stop())
    limit = time_limit if default.failed else min(time_limit, max(1.0, 50 * default.seconds))
    tried, ours = search(LOOSEST, problem, best, goal, limit, by_tol)
    pairs = [(LOOSEST, ours.stop), (DEFAULT, Stop())]
    turns = in_turns(pairs, problem, most_turns)
    alone = median(attempt.seconds for attempt in turns.fits[0])
    yield _row(problem, optimum, LOOSEST, ours.stop, turns.fits[0], turns, alone, tried, warm)
    yield _row(problem, optimum, DEFAULT, Stop(), turns.fits[1], turns, alone, [], warm)
    for method in methods:
        if method.applies(problem):
            warm = warm_up(method, problem)
            if method.ladder == "default":
                tried, found = [], Attempt(Stop(), 0.0)
            else:
                tried, found = search(method, problem, best, goal, limit, by_tol)
            if found.objective <= goal or method.ladder == "default":
                both = in_turns([*pairs, (method, found.stop)], problem, most_turns)
                yield _row(problem, optimum, method, found.stop, both.fits[2], both, alone, tried, warm)
            else:  # no equal gap to compare at: where it stood when its time was up
                yield _row(problem, optimum, method, found.stop, [found], turns, alone, tried, warm)


class Turns(NamedTuple):
    """Fits of each method, turn by turn, and the seconds of the reads between them."""

    fits: list[list[Attempt]]
    reads: list[float]


def in_turns(pairs, problem, most_turns, budget=5.0):
    """Fit the (method, stop) pairs one after another, again and again: A B A B ..., with reads in each turn."""
    w = np.ones(problem.X.shape[1], problem.X.dtype)
    turns = Turns([[] for _ in pairs], [])
    count = most_turns
    while len(turns.fits[0]) < count:
        for fits, (method, stop) in zip(turns.fits, pairs, strict=True):
            fits.append(fit(method, problem, stop, method.seeds[len(fits) % len(method.seeds)]))
        for _ in range(3):
            start = time.perf_counter()
            problem.X @ w
            turns.reads.append(time.perf_counter() - start)
        seconds = sum(fits[0].seconds for fits in turns.fits)
        count = min(most_turns, max(3 if seconds < budget else 2, round(budget / seconds)))
    return turns


def _row(problem, optimum, method, stop, fits, turns, alone, tried, warm):
    worst = max(fits, key=lambda attempt: attempt.objective)
    warned = frozenset().union(*(attempt.warned for attempt in fits))
    if stop.max_iter and stop.tol == NEVER:
        warned -= {"ConvergenceWarning"}  # it stops by max_iter, as it is told to
    ours, default = (
        math.inf if fits[0].failed else median(attempt.seconds for attempt in fits) for fits in turns.fits[:2]
    )
    memory = peak_memory(method, problem, stop)
    return Row(
        data=problem.name,
        n=problem.X.shape[0],
        p=problem.X.shape[1],
        classes=problem.n_classes,
        C=problem.C,
        l1_ratio=problem.l1_ratio,
        target=problem.target,
        absolute=problem.absolute,
        best=optimum.value,
        excess=optimum.excess,
        method=method.name,
        family=method.family,
        setting=str(stop),
        turns=len(fits),
        seconds=median(attempt.seconds for attempt in fits),
        read_seconds=median(turns.reads),
        ours_seconds=ours,
        default_seconds=default,
        calm=turns.fits[0][0].failed or 2 / 3 < ours / alone < 3 / 2,
        objective=worst.objective,
        loss=worst.loss,
        warned=" ".join(sorted(warned)),
        memory=float(memory),
        memory_share=memory / problem.nbytes,
        warm_up=warm,
        curve=[(attempt.seconds, attempt.objective) for attempt in tried or fits[:1]],
    )
