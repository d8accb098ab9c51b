"""The solutions in several weightings over a path of C, with an l2 penalty: one pass over the rows serves many of them.

Some values of C, the nodes, are taken one after another, from the strongest penalty to the weakest. At a node, the
first weighting is solved alone. The Hessians of all weightings at its solution are then the metrics of the other
weightings. The start of each weighting is on the curve in log C through its thetas at the last nodes, with the slopes

    d theta / d log C  =  H^-1 dR(theta),    H the Hessian of J.

Values of C between two nodes start on the curve through the nodes on both sides, so near to the minimum that most need
one or two evaluations. All these problems go side by side and need no new Hessian: their metric is a mean of the
Hessians at the two nodes.
"""

from typing import NamedTuple

import numpy as np

from .descent.several import Metrics, descend_side_by_side, metric_of
from .objective import Objective, at_random
from .quadratic.metric import LocalModel
from .several import Columns, Several
from .verdict.duality import duality_gap

__all__ = ["Fits", "SideBySide"]

NODE_DISTANCE = 0.6  # decades of C from node to node, at least
NODES_AHEAD, NODES_AROUND = 2, 4  # nodes of a curve: to the next node, and between two nodes
MOST_COLUMNS = 120  # of theta side by side: more save no time
FACTOR_BYTES = 2**28  # most bytes of the factorised metrics of problems that go side by side
PROOF_ROWS_PER_PARAMETER = 4  # least rows of the sample for the proofs


class Fits(NamedTuple):
    """The solutions at one C: the user's theta of each weighting, (F, p + 1, k), and other numbers of each, (F,).

    ``gap`` is the proven bound on J - min J. It is nan for weightings other than the first that were solved side by
    side.
    """

    theta: np.ndarray
    excess: np.ndarray
    gap: np.ndarray
    n_iter: np.ndarray
    converged: np.ndarray


class SideBySide:
    """The path of several weightings. ``alone.solve(f, C, start)`` solves a problem that does not arrive here.

    Problems have numbers: i for the i-th C, and f for the weighting.
    """

    def __init__(self, problem, shares, Cs, l1_ratio, settings, rng, coordinates, alone, start=None):
        self.problem, self.Cs, self.l1_ratio, self.settings, self.rng = problem, Cs, l1_ratio, settings, rng
        self.coordinates, self.alone, self.start = coordinates, alone, start
        self.logs, self.n_weightings = np.log(Cs), shares.shape[1]
        self.several = Several(coordinates.rows, problem.loss, shares)
        self.theta = np.zeros((len(Cs), self.n_weightings, *self.several.shape))
        self.slopes, self.hessians = {}, {}

    @property
    def nodes(self):
        """The numbers of the nodes, at least NODE_DISTANCE apart, and of the last C."""
        nodes = [0]
        for i, log in enumerate(self.logs):
            if log - self.logs[nodes[-1]] >= NODE_DISTANCE * np.log(10):
                nodes.append(i)
        return nodes if nodes[-1] == len(self.logs) - 1 else [*nodes, len(self.logs) - 1]

    def path(self):
        """Yield the number of each C and its Fits."""
        nodes = self.nodes
        for number, i in enumerate(nodes):
            yield i, self.at_node(nodes[:number], i)
            if number >= 2:
                yield from self.between(nodes[: number + 1], number - 2)
                del self.hessians[nodes[number - 2]]
        if len(nodes) > 1:
            yield from self.between(nodes, len(nodes) - 2)

    def at_node(self, nodes, i):
        """The Fits at a node; ``nodes`` are the nodes before it."""
        ahead = self.ahead(nodes, i)
        first, _ = self.descend([i], [0], ahead[:1], self.metric_ahead(nodes, ahead[0]))
        theta, others = self.theta[i, 0], np.arange(1, self.n_weightings)
        with self.several.threads():
            self.hessians[i] = hessians = self.several.hessians(theta)
            columns = self.columns(np.full(self.n_weightings, i), np.arange(self.n_weightings))
            own = metric_of(self.several, hessians[0], columns.some(0))
        start = Metrics(self.several, lambda m: hessians[1 + m])
        rest, metrics = self.descend(np.full(len(others), i), others, theta + (ahead - ahead[0])[1:], start)
        with self.several.threads():
            pulls = columns.curvature * self.theta[i]
            self.slopes[i] = np.stack([M.solve(pull) for M, pull in zip([own, *metrics], pulls, strict=True)])
        parts = (np.concatenate(pair) for pair in zip(first, rest, strict=True))
        return self.fits([i], *(part[None] for part in parts))[0]

    def ahead(self, nodes, i):
        """The thetas of all weightings at a node, as the curve foretells them from the nodes before."""
        if nodes:
            return self.on_the_curve(nodes[-NODES_AHEAD:], i)
        theta = np.zeros((self.n_weightings, *self.several.shape))
        if self.start is not None:
            theta[:] = without_shift(self.start)
        elif not self.problem.has_offset:
            theta[:, -1] = without_shift(self.problem.best_intercepts())
        return theta

    def metric_ahead(self, nodes, theta):
        """The metric in which the first weighting starts at a node: the one at the last node."""
        if nodes:
            return Metrics(self.several, lambda m: self.hessians[nodes[-1]][0])
        return Metrics(self.several, lambda m: self.several.hessian(theta, 0))

    def between(self, nodes, number):
        """Yield the number of each C between two nodes, and its Fits."""
        a, b = nodes[number : number + 2]
        near = nodes[max(0, number + 1 - NODES_AROUND // 2) :][:NODES_AROUND]
        P = np.prod(self.several.shape)
        width = self.n_weightings * self.problem.loss.n_outputs
        size = max(1, min(MOST_COLUMNS // width, FACTOR_BYTES // (8 * P**2 * self.n_weightings)))
        for begin in range(a + 1, b, size):
            some = np.arange(begin, min(begin + size, b))
            start = np.stack([self.on_the_curve(near, i) for i in some])
            i, f = np.repeat(some, self.n_weightings), np.tile(np.arange(self.n_weightings), len(some))
            metrics = Metrics(self.several, lambda m, i=i, f=f: self.mean_hessian(a, b, i[m], f[m]))
            found, _ = self.descend(i, f, start.reshape(-1, *self.several.shape), metrics)
            shaped = (part.reshape(len(some), -1) for part in found)
            yield from zip(some, self.fits(some, *shaped), strict=True)

    def mean_hessian(self, a, b, i, f):
        """The Hessian of a weighting at a C between two nodes, interpolated linearly in log C."""
        share = (self.logs[i] - self.logs[a]) / (self.logs[b] - self.logs[a])
        return (1 - share) * self.hessians[a][f] + share * self.hessians[b][f]

    def on_the_curve(self, nodes, i):
        """The thetas (F, p + 1, k) at the i-th C, by Hermite interpolation in log C from thetas and slopes at nodes."""
        x, theta = self.logs, np.zeros(self.theta.shape[1:])
        for j, weight in zip(nodes, lagrange(x[nodes], x[i]), strict=True):
            steepness = sum(1 / (x[j] - x[other]) for other in nodes if other != j)
            theta += weight**2 * (self.theta[j] + (x[i] - x[j]) * (self.slopes[j] - 2 * steepness * self.theta[j]))
        return without_shift(theta)

    def columns(self, i, f):
        """The problems of some C and some weightings."""
        penalties = [self.penalty(at, of) for at, of in zip(i, f, strict=True)]
        return Columns.of(f, penalties, self.several.shape)

    def penalty(self, i, f):
        """The penalty of a weighting at the i-th C."""
        return self.coordinates.penalty(self.problem.penalty_of(self.Cs[i], self.l1_ratio, self.several.totals[f]))

    def descend(self, i, f, start, metrics):
        """Solve for some C and weightings, and keep theta.

        Return the excess, the number of steps, and which have converged; and the last metrics.
        """
        if not len(f):
            return (np.empty(0), np.empty(0, int), np.empty(0, bool)), []
        with self.several.threads():
            found = descend_side_by_side(self.several, self.columns(i, f), start, metrics, self.settings.formed_tol)
        self.theta[i, f] = found.theta
        for m in np.flatnonzero(~found.arrived):
            outside = self.coordinates.out_of(found.theta[m])
            solution = self.alone.solve(f[m], self.Cs[i[m]], outside)
            self.theta[i[m], f[m]] = self.coordinates.into(solution.theta)
            found.excess[m], found.n_steps[m] = solution.excess, len(solution.history)
            found.arrived[m] = solution.has_converged
        return found[1:-1], found.metrics

    def fits(self, some, excess, n_iter, converged):
        """The Fits of some C."""
        first = np.zeros(len(some), int)
        gaps = np.full(excess.shape, np.nan)
        with self.several.threads():
            whole = self.several.at(self.theta[some, 0], self.columns(some, first))
            gaps[:, 0] = [self.gap(i, whole.some(at), excess[at, 0]) for at, i in enumerate(some)]
        thetas = [np.stack([self.coordinates.out_of(theta) for theta in self.theta[i]]) for i in some]
        return [Fits(*parts) for parts in zip(thetas, excess, gaps, n_iter, converged, strict=True)]

    def gap(self, i, point, excess):
        """The proven bound of the first weighting at its point for the i-th C."""
        objective = Objective(self.coordinates.rows, self.problem.loss, self.penalty(i, 0))
        model = LocalModel(objective, point, sample=self.sample(objective))
        return duality_gap(model, self.rng, self.settings.formed_tol, excess)

    def sample(self, objective):
        """The objective on rows that are copied once for all proofs; None where rows are few."""
        if not hasattr(self, "_sample"):
            needed = max(objective.n_rows // 16, PROOF_ROWS_PER_PARAMETER * objective.n_parameters)
            size = min(objective.largest_sample, needed)
            few = size >= objective.n_rows
            self._sample = None if few else objective.on(at_random(size, objective.n_rows, self.rng)).rows
        return self._sample and Objective(self._sample, objective.loss, objective.penalty)


def without_shift(theta):
    """Coefficients that add up to 0 over the classes; no step would undo a shift, and each curve would enlarge it."""
    return theta if theta.shape[-1] == 1 else theta - theta.mean(axis=-1, keepdims=True)


def lagrange(nodes, x):
    """The weight of each node's value at x, in the polynomial through the values at all nodes."""
    return np.array([np.prod([(x - b) / (a - b) for b in nodes if b != a]) for a in nodes])
