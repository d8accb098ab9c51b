"""The solutions of a problem in several weightings of its rows, over a path of C: what cross-validation takes.

A weighting gives every row a share of its weight: 1 for all of them, say, and 0 on the rows that a fold holds out. With
an l2 penalty, and up to as many parameters as a Hessian is formed of, all weightings and many C go side by side in one
pass over the rows (``descent.several``). A few C are solved first, one after another, from the strongest penalty to the
weakest, each from where the last ones point to. The C between them start on the curve through those, which is so near
that most need two passes, and these passes serve all of them at once. Every other problem, and every one that did not
arrive, goes to ``solve``, from the last solution of the same weighting.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .descent.several import Metric, descend_side_by_side
from .descent.status import Status
from .objective import Objective, at_random
from .penalty import ElasticNet
from .problem import Coordinates, Problem
from .quadratic.metric import LocalModel
from .several import Columns, Several
from .solve import DEFAULTS, Settings, Solution, coordinates_of, solve
from .verdict.duality import duality_gap

__all__ = ["Fits", "paths"]

APART = 0.6  # decades of C between those that are solved one after another
CURVE = 4  # of them, at most, make the curve on which the C between them start
COLUMNS = 120  # of theta side by side, at most: more spare no time
SAMPLE = 4  # rows a parameter, at least, that a proof is made of


class Fits(NamedTuple):
    """The solutions at one C: the user's theta of each weighting, (F, p + 1, k); the rest of each one, (F,).

    ``gap`` is the proven bound on J - min J; it is known of the first weighting, and nan of those whose problems were
    solved side by side.
    """

    theta: np.ndarray
    excess: np.ndarray
    gap: np.ndarray
    n_iter: np.ndarray
    converged: np.ndarray


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
        What each weighting multiplies the rows' weights by: 0 or 1 for a fold, whole numbers for a bootstrap.
    Cs : ndarray of shape (n_Cs,)
        Ascending.
    l1_ratio : float
        The share of the l1 penalty.
    settings : Settings
        How ``solve`` works; ``tol`` is that of every problem.
    rng : numpy Generator or None
        What draws the rows of a proof.
    start : ndarray of shape (p + 1, k) or None
        The user's theta at which the first fits begin. None is theta = 0.

    Yields
    ------
    index, Fits
        The number of a C, and the solutions there; not in order.
    """
    rng = rng or np.random.default_rng(0)
    one_by_one = OneByOne(problem, shares, l1_ratio, settings, rng, start)
    problem = problem.penalised(Cs[0], l1_ratio)
    coordinates = coordinates_of(problem, settings, None)
    formed = coordinates.zero(problem.loss.n_outputs).size <= settings.formed_parameters
    goes = settings.solver == "auto" and problem.penalty.is_smooth and formed
    if goes and (finite := np.isfinite(Cs)).any():
        kernel = SideBySide(problem, shares, Cs[finite], l1_ratio, settings, rng, coordinates, one_by_one)
        if start is not None:
            kernel.start = coordinates.into(start)
        yield from kernel.path()
        Cs = np.where(finite, np.nan, Cs)
    for i in np.flatnonzero(~np.isnan(Cs)):
        yield i, one_by_one.at(Cs[i])


class OneByOne:
    """Every problem by ``solve``, from the last solution of the same weighting."""

    def __init__(self, problem, shares, l1_ratio, settings, rng, start):
        self.shares, self.l1_ratio, self.settings, self.rng = shares, l1_ratio, settings, rng
        self.of = [problem.weighted(share) for share in shares.T]
        self.last: list[Solution | np.ndarray | None] = [start] * len(self.of)

    def solve(self, f, C, start=None):
        """The solution of weighting f at C."""
        problem = self.of[f].penalised(C, self.l1_ratio)
        self.last[f] = solve(problem, self.settings, self.last[f] if start is None else start, self.rng)
        return self.last[f]

    def at(self, C):
        """The solutions of all weightings at C."""
        return fits_of([self.solve(f, C) for f in range(len(self.of))])


def fits_of(solutions):
    """Fits of solutions."""
    return Fits(
        np.stack([solution.theta for solution in solutions]),
        np.array([solution.excess for solution in solutions]),
        np.array([solution.gap for solution in solutions]),
        np.array([len(solution.history) for solution in solutions]),
        np.array([solution.status is Status.CONVERGED for solution in solutions]),
    )


class SideBySide:
    """Problems with an l2 penalty and a Hessian that is formed: many of them in one pass."""

    def __init__(self, problem, shares, Cs, l1_ratio, settings, rng, coordinates: Coordinates, one_by_one: OneByOne):
        self.problem, self.Cs, self.l1_ratio, self.settings, self.rng = problem, Cs, l1_ratio, settings, rng
        self.coordinates, self.one_by_one, self.n_weightings = coordinates, one_by_one, shares.shape[1]
        self.logs = np.log10(Cs)
        self.several = Several(coordinates.rows, problem.loss, shares)
        self.start = np.zeros(self.several.shape)
        self.theta = np.zeros((len(Cs), self.n_weightings, *self.several.shape))

    @property
    def nodes(self):
        """The numbers of the C that are solved one after another: those at least so far apart, and the last."""
        nodes = [0]
        for i, log in enumerate(self.logs):
            if log - self.logs[nodes[-1]] >= APART:
                nodes.append(i)
        return nodes if nodes[-1] == len(self.logs) - 1 else [*nodes, len(self.logs) - 1]

    def path(self):
        """Yield the number of each C and its Fits."""
        nodes = self.nodes
        for done, i in enumerate(nodes):
            start = self.on_the_curve(nodes[max(0, done - CURVE + 1) : done], i)
            yield from self.descend([i], start[None])
        for number, (a, b) in enumerate(zip(nodes, nodes[1:], strict=False)):
            near = nodes[max(0, number - 1) : number + CURVE - 1]
            between = list(range(a + 1, b))
            size = max(1, COLUMNS // (self.n_weightings * self.problem.loss.n_outputs))
            for first in range(0, len(between), size):
                some = between[first : first + size]
                yield from self.descend(some, np.stack([self.on_the_curve(near, i) for i in some]))

    def on_the_curve(self, nodes, i):
        """The thetas (F, p + 1, k) at the i-th C of the curve in log C through those of some nodes; else the start."""
        x = self.logs
        weights = [np.prod([(x[i] - x[b]) / (x[a] - x[b]) for b in nodes if b != a]) for a in nodes]
        return np.tensordot(weights, self.theta[nodes], axes=1) if nodes else self.theta[0] + self.start

    def columns(self, some):
        """The problems of all weightings at some C, those of one C together."""
        like, totals = np.empty(self.several.shape), self.several.totals
        penalties = (self.penalty(i, total) for i in some for total in totals)
        curvature = np.stack([penalty.curvature(like) for penalty in penalties])
        return Columns(np.tile(np.arange(self.n_weightings), len(some)), curvature)

    def penalty(self, i, total):
        """The penalty at the i-th C of weights that add up to a total."""
        return self.coordinates.penalty(ElasticNet.of(self.Cs[i], self.l1_ratio, total))

    def descend(self, some, start):
        """Solve for some C at once, from thetas (len(some), F, p + 1, k); yield their numbers and Fits."""
        columns, flat = self.columns(some), start.reshape(-1, *self.several.shape)
        with self.several.threads():
            metric = Metric(self.several, start[len(some) // 2, 0])
            found = descend_side_by_side(self.several, columns, flat, metric, self.settings.tol)
            first = np.arange(0, len(flat), self.n_weightings)
            whole = self.several.at(found.theta[first], columns.some(first))
            self.theta[some] = found.theta.reshape(start.shape)
            parts = [part.reshape(start.shape[:2]) for part in found[1:]]
            gaps = [self.gap(i, whole.some(at), parts[0][at, 0]) for at, i in enumerate(some)]
        for at, i in enumerate(some):
            excess, n_iter, arrived = (part[at] for part in parts)
            outside = np.stack([self.coordinates.out_of(theta) for theta in self.theta[i]])
            gap = np.full(self.n_weightings, np.nan)
            gap[0] = gaps[at]
            yield i, self.completed(i, Fits(outside, excess, gap, n_iter, arrived))

    def gap(self, i, point, excess):
        """The proven bound of the first weighting at its point for the i-th C."""
        penalty = self.penalty(i, self.several.totals[0])
        objective = Objective(self.coordinates.rows, self.problem.loss, penalty)
        model = LocalModel(objective, point, sample=self.sample(objective))
        return duality_gap(model, self.rng, self.settings.tol, excess)

    def sample(self, objective):
        """Some rows that are copied once for all proofs; None where rows are few."""
        if not hasattr(self, "_sample"):
            size = min(objective.largest_sample, max(objective.n_rows // 16, SAMPLE * objective.n_parameters))
            few = size >= objective.n_rows
            self._sample = None if few else objective.on(at_random(size, objective.n_rows, self.rng)).rows
        return self._sample and Objective(self._sample, objective.loss, objective.penalty)

    def completed(self, i, fits):
        """The same, with problems that did not arrive solved by themselves."""
        for f in np.flatnonzero(~fits.converged):
            solution = self.one_by_one.solve(f, self.Cs[i], start=fits.theta[f])
            alone = fits_of([solution])
            for part, of_it in zip(fits, alone, strict=True):
                part[f] = of_it[0]
            self.theta[i, f] = self.coordinates.into(solution.theta)
        return fits
