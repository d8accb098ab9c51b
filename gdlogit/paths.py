"""The solutions of a problem in several weightings of its rows, over a path of C: what cross-validation takes.

A weighting gives every row a share of its weight: 1 for all of them, say, and 0 on the rows that a fold holds out. Up
to as many parameters as a Hessian is formed of, all weightings go side by side in one pass over the rows: with an l2
penalty many C at a time (``side_by_side``), with an l1 penalty one C after another, for the features in play alone
(``l1_path``). Every other problem, and every one that did not arrive, goes to ``solve``, from the last solution of the
same weighting.
"""

from collections.abc import Iterator
from functools import cache

import numpy as np

from .l1_path import FEW_FEATURES, L1Path
from .problem import Problem
from .side_by_side import Fits, SideBySide, lagrange
from .solve import DEFAULTS, Settings, Solution, coordinates_of, solve

__all__ = ["Fits", "paths"]

AHEAD = 3  # solutions of a polynomial: on mnist20k a fit takes 20 passes, with two solutions 22, with one 50
MOST_AHEAD = np.log(3)  # log C / last C beyond which a polynomial foretells nothing


def paths(
    problem: Problem,
    shares: np.ndarray,
    Cs: np.ndarray,
    l1_ratio: float = 0.0,
    settings: Settings = DEFAULTS,
    rng: np.random.Generator | None = None,
    start: np.ndarray | None = None,
) -> Iterator[tuple[int, Fits]]:
    """Minimise J in several weightings for each C.

    Parameters
    ----------
    problem : Problem
        Rows and loss. Its penalty is not used.
    shares : ndarray of shape (n, F)
        The factors of the rows' weights in each weighting: 0 or 1 for a fold, whole numbers for a bootstrap.
    Cs : ndarray of shape (n_Cs,)
        The values of C, ascending.
    l1_ratio : float
        The share of the l1 penalty.
    settings : Settings
        The settings of ``solve``; ``tol`` holds for every problem.
    rng : numpy Generator or None
        The generator that draws the rows of a proof. None is a generator with the seed 0.
    start : ndarray of shape (p + 1, k) or None
        The user's theta at which the first fits begin. None is theta = 0.

    Yields
    ------
    index, Fits
        The number of a C, and the solutions there. The numbers do not come in order.
    """
    rng, left = rng or np.random.default_rng(0), {*range(len(Cs))}
    one_by_one = OneByOne(problem, shares, l1_ratio, settings, rng, start)
    for i, fits in several_paths(problem, shares, Cs[np.isfinite(Cs)], l1_ratio, settings, rng, one_by_one, start):
        yield i, fits
        left.remove(i)
    for i in sorted(left):
        yield i, one_by_one.at(Cs[i])


def several_paths(problem, shares, Cs, l1_ratio, settings, rng, one_by_one, start):
    """The number of each C whose problems go side by side, and its Fits."""
    if settings.solver != "auto" or not len(Cs) or problem.bounds is not None:
        return ()
    problem = problem.penalised(Cs[0], l1_ratio)
    if not problem.penalty.is_smooth:
        few = problem.shape[0] - 1 <= FEW_FEATURES or problem.copies_features
        if problem.needs_units or not few:
            return ()
        return L1Path(problem, shares, Cs, l1_ratio, settings, rng, one_by_one, start).path()
    coordinates = coordinates_of(problem, settings, None)
    if coordinates.zero(problem.loss.n_outputs).size > settings.formed_parameters:
        return ()
    inside = None if start is None else coordinates.into(start)
    return SideBySide(problem, shares, Cs, l1_ratio, settings, rng, coordinates, one_by_one, inside).path()


class OneByOne:
    """Every problem by ``solve``, from the last solutions of the same weighting.

    With an l2 penalty the start lies on the polynomial in log C through the last few solutions, if the next C is near.
    """

    def __init__(self, problem, shares, l1_ratio, settings, rng, start):
        self.problem, self.shares, self.l1_ratio, self.settings, self.rng = problem, shares, l1_ratio, settings, rng
        self.last: list[Solution | np.ndarray | None] = [start] * shares.shape[1]
        self.trail: list[list[tuple[float, np.ndarray]]] = [[] for _ in self.last]  # log C and theta
        self.of = cache(self._of)

    def solve(self, f, C, start=None):
        """The solution of weighting f at C. The proof of the first weighting alone is sharp."""
        problem = self.of(f).penalised(C, self.l1_ratio)
        start = self.last[f] if start is None else start
        self.last[f] = solve(problem, self.settings, start, self.rng, brief=f > 0)
        return self.last[f]

    def at(self, C):
        """The solutions of all weightings at C, after those at smaller C."""
        solutions = [self.solve(f, C, self.ahead(f, np.log(C))) for f in range(len(self.last))]
        for trail, solution in zip(self.trail, solutions, strict=True):
            trail[:] = [*trail[1 - AHEAD :], (np.log(C), solution.theta)]
        return fits_of(solutions)

    def ahead(self, f, log_C):
        """The start of weighting f, as its last solutions foretell; None where they do not."""
        if len(self.trail[f]) < 2 or self.l1_ratio or log_C - self.trail[f][-1][0] > MOST_AHEAD:
            return None
        logs, thetas = zip(*self.trail[f], strict=True)
        return self.last[f].moved(np.tensordot(lagrange(logs, log_C), thetas, axes=1))

    def _of(self, f):
        """The problem of weighting f: made once, where it is asked for, as coordinates are those of its rows."""
        return self.problem.weighted(self.shares[:, f])


def fits_of(solutions):
    """Fits of solutions."""
    return Fits(
        np.stack([solution.theta for solution in solutions]),
        np.array([solution.excess for solution in solutions]),
        np.array([solution.gap for solution in solutions]),
        np.array([len(solution.history) for solution in solutions]),
        np.array([solution.has_converged for solution in solutions]),
        np.array([solution.is_separable for solution in solutions]),
    )
