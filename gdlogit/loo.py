r"""Approximate leave-one-out: the scores that each row would get from a fit to all other rows.

The fit to all rows makes the scores z_i of row i. One Newton step of the fit without row i changes them to

    z~_i = z_i + B_i (I - C_i B_i)^-1 dz_i,    B_i = (I (x) x_i)^T H^-1 (I (x) x_i),    C_i: curvature of row i,

with H the Hessian of S J. This takes the leverages of all rows, and no further fit. For one score, z~_i - z_i is
q_i dz_i / (1 - q_i c_i). With an l1 penalty only features with nonzero coefficients count. Near the smallest C the fit
without a row may have other features, and the mean loss is wrong by a few percent. If a row has a large leverage, or
its score changes much, one step is not enough, and the fit without that row is made. The leverages times the curvatures
add up to at most the number of parameters, so such rows are few. A row of weight 2 is two rows, one of which is left
out.

References
----------
Rad and Maleki, "A scalable estimate of the out-of-sample prediction error via approximate leave-one-out
cross-validation", JRSS B 82 (2020).
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from .descent.several import Each, Metrics, descend_side_by_side
from .objective import FORMED_PARAMETERS, Objective, at_random
from .paths import paths
from .problem import Coordinates
from .quadratic.curvature import Cholesky, without_shift
from .quadratic.metric import NewtonMetric
from .several import Columns, Several
from .side_by_side import lagrange

__all__ = ["LeaveOneOut"]

LARGE_LEVERAGE = 0.9  # times the curvature: the step to the fit without such a row is far too short, or too long
# Of a score: beyond, one step is not enough. At 0.5 the mean loss of iris was wrong by up to 3%.
LARGE_CHANGE = 0.25
# Of the sum of the losses: changes of rows that add up to less are taken by one step. credit_default makes few fits so.
NEGLIGIBLE = 1e-3
MOST_ROWS = 20_000  # their losses give the mean, and its error, precisely enough
FITS_AT_ONCE = 100  # fits without a row, side by side
LARGEST_START = 2.0  # change of the row's own score with which a fit without it starts
# Most of log C from node to node. At 0.8 decades the mean losses of german and iris were wrong by up to 0.6%, at 0.6 by
# up to 0.2%, as much as at 0.4.
MOST_NODE_DISTANCE = 0.6 * np.log(10)
TOL = 1e-4  # of S J, where fits without a row end: mean losses of digits are then right to 3e-4
AHEAD = 3  # values of C, through whose fits a row's move is extrapolated: of two, digits takes 10% more columns


class LeaveOneOut:
    """The scores of rows without themselves, in fits of a problem, each row without a unit of its weight."""

    def __init__(self, problem, weight, unit, settings, rng):
        self.problem, self.weight, self.unit, self.settings, self.rng = problem, weight, unit, settings, rng
        self._coordinates = self._some = None
        self._moves: dict[int, list[tuple[float, np.ndarray]]] = {}  # (log C, move of theta) where a row was fitted
        rows = np.flatnonzero(unit > 0)
        self.index = rows if len(rows) <= MOST_ROWS else rows[at_random(MOST_ROWS, len(rows), rng)]

    def path(self, thetas, Cs, l1_ratio):
        """Yield the scores of the rows ``index``, each without itself, at each of the fits at ascending Cs.

        With l2 alone, what leaving a row out changes in its score is a smooth function of log C. So it is computed at
        some C, the nodes, and interpolated between them by cubic polynomials.
        """
        n_smooth = np.count_nonzero(np.isfinite(Cs)) if l1_ratio == 0 else 0
        yield from self._interpolated(thetas[:n_smooth], Cs[:n_smooth])
        for theta, C in zip(thetas[n_smooth:], Cs[n_smooth:], strict=True):
            yield self.scores(theta, C, l1_ratio)

    def _interpolated(self, thetas, Cs):
        """The scores of ``path`` with l2 alone."""
        nodes, logs, changes = nodes_of(Cs), np.log(Cs), {}
        for i, theta in enumerate(thetas):
            after = np.searchsorted(nodes, i)
            window = nodes[max(after - 2, 0) : after + 2]
            changes = {node: changes[node] for node in window if node in changes}
            near = [i] if i == nodes[after] else window
            for node in near:
                if node not in changes:
                    changes[node] = self.scores(thetas[node], Cs[node], 0.0) - self._fitted(thetas[node])
            weights = lagrange(logs[near], logs[i])
            yield self._fitted(theta) + sum(w * changes[node] for w, node in zip(weights, near, strict=True))

    def _fitted(self, theta):
        """The scores of the rows ``index`` in the fit to all rows."""
        with self._given.threads():
            return self._given.scores(theta).astype(float)

    @cached_property
    def _given(self):
        """The rows ``index`` as given."""
        objective = Objective(self.problem.rows, self.problem.loss, self.problem.penalty)
        return objective if len(self.index) == objective.n_rows else objective.on(self.index)

    def scores(self, theta, C, l1_ratio):
        """The scores (m, k) of the rows ``index``, each without itself, at the user's theta of the fit at C."""
        fitted = theta
        problem, active = self.problem, theta[:-1].any(axis=1)
        if (l1_ratio > 0 or problem.factors is not None) and not active.all():
            problem, theta = problem.restricted(np.flatnonzero(active)), theta[np.append(active, True)]
        problem = problem.penalised(C / (1 - l1_ratio) if l1_ratio < 1 else np.inf)
        z, far = self._by_one_step(problem, theta)
        for start in range(0, len(far), FITS_AT_ONCE):
            some = far[start : start + FITS_AT_ONCE]
            z[some] = self._without(self.index[some], fitted, C, l1_ratio)
        return z

    def _without(self, index, theta, C, l1_ratio):
        """The scores of some rows in fits without them, which begin at the theta of the fit with them."""
        shares = np.ones((len(self.unit), len(index)))
        shares[index, np.arange(len(index))] = 1 - self.unit[index] / self.weight[index]
        if l1_ratio == 0 and self.problem.factors is None:
            scores = self._by_descent(shares, index, theta, C)
            if scores is not None:
                return scores
        ((_, fits),) = paths(self.problem, shares, np.array([C]), l1_ratio, self.settings, self.rng, theta)
        alone = Objective(self.problem.rows, self.problem.loss, self.problem.penalty).on(index)
        return np.stack([alone.scores(theta)[row] for row, theta in enumerate(fits.theta)])

    def _by_descent(self, shares, index, theta, C):
        """The scores of some rows in fits without them, side by side; None where not all arrive, and need care.

        They start where the row's moves of theta at the last few C point to, or one Newton step from the fit with it.
        """
        loss, coordinates, log_C = self.problem.loss, self._coordinates_of(self.problem), np.log(C)
        several = Several(coordinates.rows, loss, shares)
        start = coordinates.into(theta)
        alone = Objective(coordinates.rows, loss, self.problem.penalty).on(index)
        fitted, without = self._without_each(alone, several, start, self.unit[index])
        penalties = [coordinates.penalty(self.problem.penalty_of(C, 0.0, total)) for total in several.totals]
        columns = Columns.of(np.arange(len(index)), penalties, start.shape)
        rows = zip(index, without, strict=True)
        steps = [ahead(self._moves[i], log_C) if i in self._moves else row.step() for i, row in rows]
        starts = start + np.stack(steps)
        with several.threads():
            value = several.at(start[None], columns.some(slice(1))).value[0]
            tol = max(self.settings.formed_tol, TOL / (several.totals.min() * min(1.0, value)))
            found = descend_side_by_side(several, columns, starts, MetricsWithout(several, without), tol)
        if not found.arrived.all():
            return None
        moves = found.theta - start
        for i, move in zip(index, moves, strict=True):
            self._moves[i] = [*self._moves.get(i, [])[1 - AHEAD :], (log_C, move)]
        return fitted + np.stack([row.change(move) for row, move in zip(without, moves, strict=True)])

    def _without_each(self, alone, several, theta, unit):
        """The scores of some rows at the theta of the fit with them, and the Hessians without each of them."""
        p, k = theta.shape
        with alone.threads():
            z, x = alone.scores(theta).astype(float), alone.score_changes(np.eye(p))
            dz, c = unit[:, None] * alone.residuals(z), alone.curvature(z)
        if self._inverse is None:
            self._inverse = self._root @ self._root.T
        C = curvatures(c, unit)
        answers = np.tensordot(x, self._inverse.reshape(p, k, p * k), axes=1).transpose(0, 2, 1)
        left = np.eye(k) - C @ np.einsum("mjcd,mj->mcd", answers.reshape(-1, p, k, k), x)
        pulls, pushes = np.linalg.solve(left, C), np.linalg.solve(left, dz[:, :, None])[:, :, 0]
        each = zip(x, answers, pulls, pushes, several.totals, strict=True)
        return z, [WithoutRow(self._inverse, *of_row, theta.shape) for of_row in each]

    def _by_one_step(self, problem, theta):
        """The scores after one Newton step, and the rows for which one is not enough."""
        coordinates = self._coordinates_of(problem)
        objective = Objective(coordinates.rows, problem.loss, coordinates.penalty(problem.penalty))
        if objective.n_parameters > FORMED_PARAMETERS:
            raise ValueError(
                f"cv='loo' needs a Hessian, which is formed up to {FORMED_PARAMETERS} parameters; got "
                f"{objective.n_parameters}. Use folds."
            )
        theta = coordinates.into(theta)
        some = objective if self._some is None else Objective(self._some, problem.loss, problem.penalty)
        with objective.threads():
            hessian = objective.total * objective.hessian(theta)
            self._inverse = None  # made where some rows are fitted
            self._root = root_of_inverse(Cholesky(without_shift(hessian, objective.shape, slice(None))))
            z, B = some.scores(theta).astype(float), some.leverages(self._root)
            dz, c = some.residuals(z), some.curvature(z)
        k, unit = z.shape[1], self.unit[self.index]
        C = curvatures(c, unit)
        left = np.eye(k) - C @ B
        hat = np.einsum("icd,idc->i", C, B)
        if k == 1:
            left = np.maximum(left, 1 - LARGE_LEVERAGE)  # rows beyond are fitted
        change = unit[:, None] * (B @ np.linalg.solve(left, dz[:, :, None]))[:, :, 0]
        count = self.weight[self.index] / unit
        return z + change, far_rows(hat, np.abs(change).max(axis=1), np.abs(dz).max(axis=1), count)

    def _coordinates_of(self, problem):
        """Coordinates that the fits at all C share, as long as they have the same features."""
        if self._coordinates is None or self._coordinates.given is not problem.rows:
            self._coordinates = Coordinates.of_newton(problem.rows, FORMED_PARAMETERS // problem.loss.n_outputs)
            objective = Objective(self._coordinates.rows, problem.loss, problem.penalty)
            self._some = None if len(self.index) == objective.n_rows else objective.on(self.index).rows
        return self._coordinates


class WithoutRow(NamedTuple):
    """The Hessian H of S J less that of one row, divided by another ``total``; by Woodbury's identity.

    With U = x (x) I, C the curvature of the row and B = U^T H^-1 U,

        (H - U C U^T)^-1 g = f + H^-1 U (I - C B)^-1 C U^T f,    f = H^-1 g.
    """

    inverse: np.ndarray  # H^-1: a product with it takes less time than two triangular solves
    x: np.ndarray
    answer: np.ndarray  # H^-1 U, (P, k)
    pull: np.ndarray  # (I - C B)^-1 C, (k, k)
    push: np.ndarray  # (I - C B)^-1 dz, (k,)
    total: float
    shape: tuple[int, int]

    def solve(self, g):
        """The product with the inverse."""
        g = g.ravel()
        step = self.inverse @ g + self.answer @ (self.pull @ (g @ self.answer))
        return self.total * step.reshape(self.shape)

    def step(self):
        """One Newton step of the fit without the row, shortened where it changes the row's score by much."""
        step = (self.answer @ self.push).reshape(self.shape)
        return step * min(1.0, LARGEST_START / max(np.abs(self.change(step)).max(), LARGEST_START))

    def change(self, step):
        """What a step changes in the row's scores."""
        return self.x @ step


class MetricsWithout(Metrics):
    """The metrics of fits without a row."""

    def __init__(self, several, without):
        super().__init__(several, without.__getitem__)

    def at_start(self, columns, point):
        """The Hessians of the fit with the rows, less those of the rows."""
        return Each(NewtonMetric(self.of(m)) for m in range(len(columns.weighting)))


def nodes_of(Cs):
    """The numbers of some of ascending Cs: both ends, and between them others at most MOST_NODE_DISTANCE apart."""
    logs, nodes = np.log(Cs), [0]
    while nodes[-1] < len(Cs) - 1:
        within = np.searchsorted(logs, logs[nodes[-1]] + MOST_NODE_DISTANCE * (1 + 1e-9), side="right") - 1
        nodes.append(int(max(nodes[-1] + 1, within)))
    return np.array(nodes)


def far_rows(hat, change, miss, count):
    """The rows for which one step is not enough: their changes together are too much of the sum of all losses.

    A row's loss is at least ``miss``, 1 less the probability of its class, and it counts for ``count`` rows.
    """
    far = np.flatnonzero((hat > LARGE_LEVERAGE) | (change > LARGE_CHANGE))
    at_stake = np.where(hat[far] > LARGE_LEVERAGE, np.inf, (count * change)[far])
    order = np.argsort(at_stake)
    return np.sort(far[order[np.cumsum(at_stake[order]) > NEGLIGIBLE * (count @ miss)]])


def ahead(known, log_C):
    """The move of theta at some C, by the polynomial in log C through the moves at the last few."""
    if np.isinf(log_C):
        return known[-1][1]
    logs, moves = zip(*known, strict=True)
    return sum(weight * move for weight, move in zip(lagrange(logs, log_C), moves, strict=True))


def curvatures(c, unit):
    """The curvature of each row's loss in its scores, (m, k, k), for rows of a weight ``unit``."""
    k = c.shape[1]
    return unit[:, None, None] * (c[:, :, None] if k == 1 else c[:, :, None] * (np.eye(k) - c[:, None, :]))


def root_of_inverse(factored):
    """A with A A^T = H^-1."""
    inverse = solve_triangular(factored.factor, np.diag(factored.scale), lower=True, check_finite=False)
    return np.ascontiguousarray(inverse.T)
