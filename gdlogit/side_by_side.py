"""The solutions in several weightings over a path of C, with an l2 penalty: one pass over the rows serves many of them.

Some values of C, the nodes, are taken one after another, from the strongest penalty to the weakest. At a node, each
weighting starts on the curve in log C through its thetas at the last nodes, with the slopes

    d theta / d log C  =  H^-1 dR(theta),    H the Hessian of J.

The Hessians of all weightings, made near the solution of the first one, are the metrics. Values of C between two nodes
start on the curve through the nodes on both sides, so near to the minimum that most need one or two evaluations. Every
second one goes first; the others start on the curve through those, too, and need hardly more than one evaluation. All
these problems go side by side, and beside the next node. They need no new Hessian: their metric is a mean of the
Hessians at the two nodes.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from .descent.several import Each, Metrics, descend_side_by_side, metric_of
from .objective import Objective, at_random
from .quadratic.metric import LocalModel
from .several import Columns, Several
from .verdict.duality import duality_gap

__all__ = ["Fits", "SideBySide", "largest_error"]

NODE_DISTANCE = 0.6 * np.log(10)  # least distance from node to node, in log C
MOST_GROWTH = 2.0  # of the distance from node to node
TRUSTED = 3e4  # excess / goal at a node, up to which the curve may miss it: two steps arrive from there
FAR = 1e6  # excess / goal at the last node, from which the first weighting goes ahead at the next one
NODES_AHEAD, NODES_AROUND = 2, 4  # nodes of a curve: to the next node, and between two nodes
# Of a coefficient times its feature's spread, relative to sqrt(tol). With tol=1e-8 all but 0.4% of the fits are
# then known to 1e-5 (spambase, breast_cancer), and adult takes 10% more columns than with errors as J alone allows.
LARGEST_ERROR = 0.05
MOST_THETA_COLUMNS = 120  # of theta side by side: more save no time
FACTOR_BYTES = 2**28  # most bytes of the factorised metrics of problems that go side by side
# Rows of a sample for the Hessians at nodes: a step leaves about 2 sqrt(P / n) of its length, 0.1.
HESSIAN_ROWS_PER_PARAMETER, LEAST_ROWS_PER_SAMPLED = 400, 3
LIKE = 0.1  # largest relative difference of a feature's spread in such a sample: rare flags differ by more
PROOF_ROWS_PER_PARAMETER = 4  # least rows of the sample for the proofs


class Fits(NamedTuple):
    """The solutions at one C: the user's theta of each weighting, (F, p + 1, k), and other numbers of each, (F,).

    ``gap`` is the proven bound on J - min J. It is nan for weightings other than the first that were solved side by
    side. ``separable`` tells where J has no minimum.
    """

    theta: np.ndarray
    excess: np.ndarray
    gap: np.ndarray
    n_iter: np.ndarray
    converged: np.ndarray
    separable: np.ndarray


class NodeMetrics(Metrics):
    """The Hessians of all weightings at a node, made one step of the first weighting from its start."""

    def __init__(self, several, sampled, last):
        super().__init__(several, lambda m: self.hessians[m])
        self.sampled, self.last, self.hessians = sampled, last, None

    def at_start(self, columns, point):
        """The metrics of all weightings. The last node's Hessian of the first weighting is the metric of its step."""
        theta = point.theta[0]
        if self.last is not None:
            theta = theta + metric_of(self.last, columns.some(0)).step_and_fall(point.some(0))[0]
        self.hessians = self.sampled.hessians_near(theta, point.theta + (theta - point.theta[0]))
        return super().at_start(columns, point)


class Batch(NamedTuple):
    """Problems that go side by side: the number of C and of the weighting, (M,), starts, and metrics.

    For ``value`` and ``family`` see ``descend_side_by_side``.
    """

    i: np.ndarray
    f: np.ndarray
    start: np.ndarray
    metrics: Metrics
    value: np.ndarray
    family: np.ndarray

    @classmethod
    def at(cls, i, f, start, metrics):
        """Problems at one C, of whose J nothing is known."""
        return cls(np.full(len(f), i), f, start, metrics, np.full(len(f), np.nan), f)

    def beside(self, other):
        """These problems and others, which are families of their own."""
        i, f, start, value = (
            np.concatenate([getattr(part, name) for part in (self, other)]) for name in ("i", "f", "start", "value")
        )
        family = np.append(self.family, self.family.max() + 1 + other.family)
        return Batch(i, f, start, BothMetrics(self.metrics, other.metrics, len(self.i)), value, family)


class BothMetrics(Metrics):
    """The metrics of ``n_first`` problems, and those of the problems after them."""

    def __init__(self, first, others, n_first):
        super().__init__(first.several, others.of)
        self.first, self.others, self.n_first = first, others, n_first

    def at_start(self, columns, point):
        """The metrics of all problems, which start at given points."""
        parts = zip((self.first, self.others), (slice(self.n_first), slice(self.n_first, None)), strict=True)
        return Each(metric for part, some in parts for metric in part.at_start(columns.some(some), point.some(some)))


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
        self.separable = np.zeros((len(Cs), self.n_weightings), bool)
        self.slopes, self.hessians, self.values, self.missed = {}, {}, {}, np.inf

    def path(self):
        """Yield the number of each C and its Fits."""
        nodes = []
        while not nodes or nodes[-1] < len(self.Cs) - 1:
            i, batches = self.next_node(nodes), self.batches(nodes, len(nodes) - 3)
            yield from self.at_node(nodes, i, next(batches, None))
            for batch in batches:
                yield from self.solved(batch)
            nodes.append(i)
            if len(nodes) > 4:
                del self.hessians[nodes[-5]]
        for number in range(len(nodes) - 3, len(nodes)):
            for batch in self.batches(nodes, number):
                yield from self.solved(batch)

    # --- The nodes ----------------------------------------------------------------------------------------------------

    def next_node(self, nodes):
        """The number of the next node: NODE_DISTANCE away, or as far away as the curve can be trusted.

        The curve's error grows with the product of the squared distances to its nodes, and the excess with its square.
        """
        if not nodes:
            return 0
        reach = NODE_DISTANCE
        if len(nodes) > NODES_AHEAD:
            a, b = self.logs[nodes[-2:]]
            trusted = self.polynomial(nodes[-3:-1], nodes[-1]) * np.sqrt(TRUSTED / self.missed)
            reach = max(reach, min(np.sqrt(np.sqrt(trusted) + (b - a) ** 2 / 4) - (b - a) / 2, MOST_GROWTH * (b - a)))
        beyond = np.searchsorted(self.logs, self.logs[nodes[-1]] + reach)
        return int(max(min(beyond, len(self.logs) - 1), nodes[-1] + 1))

    def polynomial(self, nodes, i):
        """The product of the squared distances of the i-th C to nodes: the error of the curve through them grows so."""
        return np.prod(np.square(self.logs[i] - self.logs[nodes]))

    def at_node(self, nodes, i, batch):
        """Yield the Fits at a node, and those of a ``Batch`` that goes along; ``nodes`` are the nodes before it."""
        start, weightings = self.ahead(nodes, i), np.arange(self.n_weightings)
        last = self.hessians[nodes[-1]][0] if nodes else None
        if self.missed > FAR:
            alone = Metrics(self.several, lambda m: self.several.hessian(start[0], 0) if last is None else last)
            self.descend(Batch.at(i, weightings[:1], start[:1], alone))
            start = start + (self.theta[i, 0] - start[0])
        metrics = NodeMetrics(self.several, self.sampled, last)
        node = Batch.at(i, weightings, start, metrics)
        both = self.descend(node if batch is None else node.beside(batch))
        found, of_batch = both.some(slice(self.n_weightings)), both.some(slice(self.n_weightings, None))
        self.hessians[i], self.values[i] = metrics.hessians, found.value
        missed = np.max(found.first / (self.settings.formed_tol * np.minimum(1, found.value)), initial=1e-300)
        self.missed = np.inf if np.isnan(missed) else missed
        with self.several.threads():
            self.slopes[i] = steps(found.metrics, self.columns(node.i, weightings).curvature * self.theta[i])
        yield i, self.fits([i], *(part[None] for part in found[1:4]))[0]
        if batch is not None:
            yield from self.of_batch(batch, of_batch)

    @cached_property
    def sampled(self):
        """The rows that Hessians at nodes are of: a sample of many rows, if each feature has its spread there."""
        several, n_rows = self.several, self.several.n_rows
        size = int(HESSIAN_ROWS_PER_PARAMETER * np.prod(several.shape))
        if size > min(n_rows // LEAST_ROWS_PER_SAMPLED, several.largest_sample):
            return several
        sample = several.sample(at_random(size, n_rows, self.rng))
        return sample if several.is_like(sample, LIKE) else several

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

    # --- Between two nodes --------------------------------------------------------------------------------------------

    def batches(self, nodes, number):
        """Yield each ``Batch`` of every second C of an interval between nodes, and the others of the interval before.

        The others start on the curve through those that are known by then, too.
        """
        due = [(number, i, []) for i in within(nodes, number)[0]]
        firsts, seconds = within(nodes, number - 1)
        due += [(number - 1, i, firsts) for i in seconds]
        P = np.prod(self.several.shape)
        width = self.n_weightings * self.problem.loss.n_outputs
        size = max(1, min(MOST_THETA_COLUMNS // width, FACTOR_BYTES // (8 * P**2 * self.n_weightings)))
        for begin in range(0, len(due), size):
            yield self.batch(nodes, due[begin : begin + size])

    def batch(self, nodes, due):
        """The ``Batch`` of some C, each with the number of its interval and the C of the interval that are known."""
        start = np.stack([self.foretold(around(nodes, number), i, known) for number, i, known in due])
        i, f = np.repeat([i for _, i, _ in due], self.n_weightings), np.tile(np.arange(self.n_weightings), len(due))
        ends = [nodes[number : number + 2] for number, _, _ in due]
        value = np.concatenate([self.values[b] for _, b in ends])
        metrics = Metrics(self.several, lambda m: self.mean_hessian(*ends[m // self.n_weightings], i[m], f[m]))
        family = np.repeat([bool(known) for _, _, known in due], self.n_weightings) * self.n_weightings + f
        return Batch(i, f, start.reshape(-1, *self.several.shape), metrics, value, family)

    def foretold(self, nodes, i, known):
        """The thetas at the i-th C, on the curve through the nodes around it and the thetas at some known C."""
        theta, here = self.on_the_curve(nodes, i), self.polynomial(nodes, i)
        for j, weight in zip(known, lagrange(self.logs[known], self.logs[i]), strict=True):
            miss = self.theta[j] - self.on_the_curve(nodes, j)
            theta += weight * here / self.polynomial(nodes, j) * miss
        return without_shift(theta)

    def solved(self, batch):
        """Yield the number of each C of a batch, and its Fits."""
        yield from self.of_batch(batch, self.descend(batch))

    def of_batch(self, batch, found):
        """Yield the number of each C of a batch, and its Fits, from the ``Arrivals``."""
        some = batch.i[:: self.n_weightings]
        shaped = (part.reshape(len(some), -1) for part in found[1:4])
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

    def descend(self, batch):
        """Solve the problems of a ``Batch``, and keep theta; return the ``Arrivals``."""
        i, f, start, metrics, value, family = batch
        with self.several.threads():
            tol, columns = self.settings.formed_tol, self.columns(i, f)
            error = largest_error(self.several, tol)
            found = descend_side_by_side(self.several, columns, start, metrics, tol, value, error, family)
        self.theta[i, f] = found.theta
        for m in np.flatnonzero(~found.arrived):
            outside = self.coordinates.out_of(found.theta[m])
            solution = self.alone.solve(f[m], self.Cs[i[m]], outside)
            theta = self.coordinates.into(solution.theta)
            self.theta[i[m], f[m]] = self.refined(theta, columns.some([m])) if solution.has_converged else theta
            found.value[m], found.excess[m] = solution.point.value, solution.excess
            found.n_steps[m] = len(solution.history)
            found.arrived[m], self.separable[i[m], f[m]] = solution.has_converged, solution.is_separable
        return found

    def refined(self, theta, columns):
        """Theta after one Newton step more: a fit by itself ends by its excess, whatever the error of coefficients."""
        with self.several.threads():
            point = self.several.at(theta[None], columns).some(0)
            hessian = self.several.hessian(theta, columns.weighting[0])
            return theta + metric_of(hessian, columns.some(0)).step_and_fall(point)[0]

    def fits(self, some, excess, n_iter, converged):
        """The Fits of some C."""
        with self.several.threads():
            whole = self.several.at(self.theta[some, 0], self.columns(some, np.zeros(len(some), int)))
        numbers = zip(some, excess, n_iter, converged, strict=True)
        return [self.with_proof(i, whole.some(m), *of_C) for m, (i, *of_C) in enumerate(numbers)]

    def with_proof(self, i, whole, excess, n_iter, converged):
        """The Fits of one C, with the proof of the fit to all rows, at its point."""
        gap = np.full(len(excess), np.nan)
        with self.several.threads():
            gap[0] = self.gap(i, whole, excess[0])
        return Fits(self.coordinates.out_of_each(self.theta[i]), excess, gap, n_iter, converged, self.separable[i])

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


def largest_error(several, tol):
    """The error that a fit may leave of a coefficient, times its feature's spread."""
    return LARGEST_ERROR * np.sqrt(max(tol, several.resolution))


def steps(metrics, gradients):
    """M^-1 g for each of some metrics and gradients."""
    return np.stack([M.solve(g) for M, g in zip(metrics, gradients, strict=True)])


def without_shift(theta):
    """Coefficients that add up to 0 over the classes; no step would undo a shift, and each curve would enlarge it."""
    return theta if theta.shape[-1] == 1 else theta - theta.mean(axis=-1, keepdims=True)


def within(nodes, number):
    """The numbers of the C between two nodes: of those that come first, and of those that come second."""
    if not 0 <= number < len(nodes) - 1:
        return [], []
    a, b = nodes[number : number + 2]
    return ([*range(a + 2, b, 2)], [*range(a + 1, b, 2)]) if b - a > 2 else ([*range(a + 1, b)], [])


def around(nodes, number):
    """The nodes of the curve between two nodes: those two, and one on each side."""
    return nodes[max(0, number + 1 - NODES_AROUND // 2) :][:NODES_AROUND]


def lagrange(nodes, x):
    """The weight of each node's value at x, in the polynomial through the values at all nodes."""
    return np.array([np.prod([(x - b) / (a - b) for b in nodes if b != a]) for a in nodes])
