"""The solutions in several weightings over a path of C, with an l1 penalty: all weightings and a few C at a time.

At the last C, each weighting has a quadratic model of its loss. Its minima with the next few strengths of the penalty
are the starts at the next few C, because a model knows which coefficients leave zero. With several scores one C goes at
a time, from where the last two solutions point to. All these problems go side by side, on a working set of features:
the features with a nonzero coefficient, and those that the strong rule does not leave out. Let g_j be the slopes of the
loss at the last C, and l' and l the l1 strengths at the last two C of the batch. A feature with |g_j| < 2 l - l' hardly
ever leaves zero. One pass over all features finds the exceptions, which then join the working set. The features of the
working set are copied, and copied again only if features are missing.

The metric is the Hessians of all weightings, made at an earlier C, at the solution of one weighting. If a problem takes
many steps, the Hessians are made anew. Where rows are few, each problem steps by its own Hessian, which is not formed.

References
----------
Tibshirani et al., "Strong rules for discarding predictors in lasso-type problems", JRSS B 74 (2012).
"""

from typing import NamedTuple

import numpy as np

from .descent.several import Metrics, RowMetrics, descend_side_by_side
from .objective import Objective
from .problem import Coordinates
from .quadratic.metric import LocalModel, Solved
from .several import Columns, Points, Several
from .side_by_side import MOST_THETA_COLUMNS, Fits, largest_error
from .verdict.duality import duality_gap

__all__ = ["FEW_FEATURES", "L1Path"]

FEW_FEATURES = 200  # up to this number, all features are in the working set from the start
SLOPE_TOLERANCE = 1e-9  # relative to l1: a slope that exceeds l1 by less is rounding
MANY_STEPS = 3  # of a problem: if one takes more, the metric is made anew for the next C
# Factor of tol for a softmax. A shift of all classes hardly moves J, so theta would not be known to five digits.
SOFTMAX_TOL = 0.01
# Of the C that go side by side, in log C: from the starts that the models foretell, about two steps arrive. A working
# set grows with the reach, and so do its Hessians: golub takes the same time with half or double the reach.
REACH, REACH_OF_SET = 0.5 * np.log(10), 0.1 * np.log(10)
NEWTON_ROWS = 600  # up to this number, Newton's steps by rows take less time than the more steps in shared Hessians
STEPS_AHEAD = 3.0  # steps of C for which features are copied at a time


class Part(NamedTuple):
    """The rows with some of the features. ``index`` has the features' rows of theta, and the row of the intercept."""

    index: np.ndarray  # type: ignore[assignment]  # tuples have a method of this name
    several: Several

    @property
    def features(self):
        """The numbers of the features."""
        return self.index[:-1]


class L1Path:
    """The path of several weightings. ``alone.solve(f, C, start)`` solves a problem that does not arrive here."""

    def __init__(self, problem, shares, Cs, l1_ratio, settings, rng, alone, start=None):
        self.problem, self.shares, self.Cs, self.l1_ratio = problem, shares, Cs, l1_ratio
        self.settings, self.rng, self.alone = settings, rng, alone
        self.tol = settings.formed_tol * (1 if problem.loss.n_outputs == 1 else SOFTMAX_TOL)
        self.coordinates = Coordinates.of_newton(problem.rows, 0)
        self.all = self.part = self.part_of(np.arange(problem.shape[0] - 1))
        self.weightings, self.shape = np.arange(shares.shape[1]), problem.shape
        self.last, self.before = self.first(start), None  # the thetas at the last C, and at the one before
        self.hessians = self.slopes = None
        self.made = None, None, None  # the columns that were made last, after their part and the numbers of their C

    def part_of(self, features):
        """The part with some features, or with all."""
        rows = self.coordinates.rows
        if len(features) < rows.n_features:
            rows = rows.with_measured(features).copied_if_few()
        return Part(np.append(features, self.problem.shape[0] - 1), Several(rows, self.problem.loss, self.shares))

    def first(self, start):
        """The thetas at which all weightings start."""
        theta = np.zeros((len(self.weightings), *self.shape))
        if start is not None:
            theta[:] = self.coordinates.into(start)
        elif not self.problem.has_offset:
            theta[:, -1] = self.problem.best_intercepts()
        return theta

    @property
    def takes_all(self):
        """Whether all features are in the working set."""
        return len(self.all.features) <= FEW_FEATURES

    @property
    def has_few_rows(self):
        """Whether problems take Newton's steps by rows."""
        several = self.all.several
        return self.shape[1] == 1 and several.n_rows <= min(NEWTON_ROWS, several.largest_sample)

    def path(self):
        """Yield the number of each C and its Fits; end where the working set is too large to form a Hessian."""
        begin = 0
        while begin < len(self.Cs):
            some = self.next_batch(begin)
            if not self.takes_all:
                if self.slopes is None:
                    self.look(some[:1], self.last[None])
                self.take(some, self.in_play(some, 1.0))
            batch = self.at(some)
            if batch is None:
                self.alone.last = list(self.outside(self.last))
                return
            yield from zip(some, batch, strict=True)
            begin = some[-1] + 1

    def next_batch(self, begin):
        """The numbers of the C that go side by side, from the ``begin``-th on: one of several scores, or more.

        With several scores, models are no good so far away, and their minima are not found side by side.
        """
        if self.shape[1] > 1:
            return np.arange(begin, begin + 1)
        reach = REACH if self.takes_all else REACH_OF_SET
        most = max(1, MOST_THETA_COLUMNS // len(self.weightings))
        logs = np.log(self.Cs[begin : begin + most])
        return np.arange(begin, begin + np.searchsorted(logs, logs[0] + reach, side="right"))

    def at(self, some):
        """The Fits at some C; None where the working set is too large."""
        n_iter, theta = np.zeros((len(some), len(self.weightings)), int), None
        while True:
            if len(self.part.index) * self.shape[1] > self.settings.formed_parameters:
                return None
            theta, excess, n_steps, converged, separable = self.descend(some, theta)
            n_iter += n_steps
            points = self.look(some, theta)
            missing = self.violating(some)
            if not missing.any():
                break
            self.take(some, missing)
        self.before, self.last = [self.last, *theta][-2:]
        numbers = zip(some, self.models(some, points), theta, excess, n_iter, converged, separable, strict=True)
        return [self.with_proof(i, model, points.some(m), *of_C) for m, (i, model, *of_C) in enumerate(numbers)]

    def models(self, some, points):
        """The steps of the first weighting from its points at some C, where its models know them by rows, or None."""
        if not self.has_few_rows:
            return [None] * len(some)
        part, of_first = self.part, slice(None, None, len(self.weightings))
        columns = self.columns(part, some).some(of_first)
        point = Points(points.theta[:, part.index], points.value, points.gradient[:, part.index])
        with part.several.threads():
            metrics = RowMetrics(part.several).at_start(columns, point)
            steps, falls = metrics.steps_and_falls(np.arange(len(some)), point)
        return [Solved(*of_C) for of_C in zip(self.moved(steps, part, self.all), falls, strict=True)]

    def with_proof(self, i, model, point, theta, excess, n_iter, converged, separable):
        """The Fits of one C, with the proof of the first weighting, at its point."""
        gap = np.full(len(excess), np.nan)
        with self.all.several.threads():
            gap[0] = self.gap(i, model, point, excess[0])
        return Fits(self.outside(theta), excess, gap, n_iter, converged, separable)

    # --- Which features -----------------------------------------------------------------------------------------------

    def look(self, some, theta):
        """The points of the first weighting at some C, after a pass that finds the slopes of all features.

        While not all features are in the working set, the pass is of all weightings.
        """
        several, n_seen = self.all.several, 1 if self.takes_all else len(self.weightings)
        index = np.arange(len(some) * len(self.weightings)).reshape(len(some), -1)[:, :n_seen]
        with several.threads():
            points = several.at(np.concatenate(theta[:, :n_seen]), self.columns(self.all, some).some(index.ravel()))
        self.slopes = np.abs(points.gradient).reshape(*index.shape, *self.shape)
        return points.some(slice(None, None, n_seen))

    def strengths(self, i):
        """The l1 strengths at the i-th C, (F, p + 1, k)."""
        return np.stack([self.penalty(i, total).l1_strengths(self.shape) for total in self.all.several.totals])

    def in_play(self, some, steps):
        """Which features the strong rule does not leave out, up to some steps of C beyond those of a batch."""
        l1, slopes = self.strengths(some[-1]), self.slopes[-1]
        before = self.strengths(some[-1] - 1) if some[-1] else slopes[:, :-1].max(axis=(1, 2), keepdims=True)
        return ((slopes >= l1 - steps * np.maximum(before - l1, 0)) | (self.last != 0))[:, :-1].any(axis=(0, 2))

    def violating(self, some):
        """Which features outside of the working set have a slope that exceeds their l1 strength."""
        if self.takes_all:
            return np.zeros(0, dtype=bool)
        strengths = self.columns(self.all, some).strength.reshape(self.slopes.shape)
        rises = (self.slopes > strengths * (1 + SLOPE_TOLERANCE))[..., :-1, :].any(axis=(0, 1, 3))
        rises[self.part.features] = False
        return rises

    def take(self, some, needed):
        """If the working set lacks needed features, make a new one with these and with what the next few C need."""
        here = np.zeros(self.shape[0] - 1, dtype=bool)
        if self.part is not self.all:
            here[self.part.features] = True
        if self.part is self.all or (needed & ~here).any():
            features = np.flatnonzero(needed | self.in_play(some, STEPS_AHEAD))
            self.part, self.hessians = self.part_of(features), None

    # --- The descent --------------------------------------------------------------------------------------------------

    def descend(self, some, theta=None):
        """Solve at some C with the working set: theta, excess, number of steps, which converged, or cannot.

        Without a start, each problem starts where the models foretell, or at the last solution if that is far; with
        several scores ``ahead`` of the last two solutions.
        """
        part, columns = self.part, self.columns(self.part, some)
        last = self.moved(self.last, self.all, part)
        with part.several.threads():
            is_new, metrics = self.hessians is None, self.metrics(columns, last)
            if theta is not None:
                start = self.moved(theta, self.all, part)
            elif self.shape[1] > 1:
                start = self.moved(self.ahead(some[0]), self.all, part)
            elif some[0] and np.log(self.Cs[some[0]] / self.Cs[some[0] - 1]) <= REACH:
                start = self.foretold(last, columns, metrics)
            else:
                start = np.tile(last, (len(some), 1, 1))
            error = largest_error(part.several, self.settings.formed_tol)
            found = descend_side_by_side(part.several, columns, start, metrics, self.tol, error=error)
        if metrics.shared is not None:
            self.hessians = metrics.shared
        elif found.n_steps.max() > MANY_STEPS and not is_new:
            self.hessians = None
        theta, separable = self.moved(found.theta, part, self.all), np.zeros(len(found.theta), bool)
        for m in np.flatnonzero(~found.arrived):
            f, C = columns.weighting[m], self.Cs[some[m // len(self.weightings)]]
            solution = self.alone.solve(f, C, self.coordinates.out_of(theta[m]))
            theta[m] = self.coordinates.into(solution.theta)
            found.excess[m], found.n_steps[m] = solution.excess, len(solution.history)
            found.arrived[m], separable[m] = solution.has_converged, solution.is_separable
        parts = theta, *found[1:4], separable
        return tuple(part.reshape(len(some), len(self.weightings), *part.shape[1:]) for part in parts)

    def metrics(self, columns, last):
        """The metrics with which problems with the features of the part start, after the thetas at the last C."""
        several = self.part.several
        if self.has_few_rows:
            return RowMetrics(several)
        if self.hessians is None:
            self.hessians = [*several.hessians(last[0])]
        return Metrics(several, lambda m: self.hessians[columns.weighting[m]])

    def ahead(self, i):
        """The thetas to which the last two C point, linearly in log C, without a change of sign."""
        if i < 2:
            return self.last
        logs = np.log(self.Cs[i - 2 : i + 1])
        theta = self.last + (logs[2] - logs[1]) / (logs[1] - logs[0]) * (self.last - self.before)
        theta[:, :-1] *= np.sign(theta[:, :-1]) * np.sign(self.last[:, :-1]) > 0
        return theta

    def foretold(self, last, columns, metrics):
        """The starts of all problems: the minima of their models around the thetas at the last C."""
        first = columns.some(slice(len(last)))
        point, times = metrics.several.at(last, first), len(columns.weighting) // len(last)
        theta, value, gradient = (np.tile(part, (times, *[1] * (part.ndim - 1))) for part in point)
        curvature = columns.curvature - np.tile(first.curvature, (times, 1, 1))
        point = Points(theta, value, gradient + curvature * theta)
        direction, _ = metrics.at_start(columns, point).steps_and_falls(np.arange(len(theta)), point)
        return theta + direction

    def moved(self, thetas, source, target):
        """Thetas (..., p + 1, k) of one part, as thetas of another part."""
        flat = np.reshape(thetas, (-1, *thetas.shape[-2:]))
        if source is target:
            return flat
        whole = np.zeros((len(flat), *self.shape))
        whole[:, source.index] = flat
        return whole[:, target.index]

    def outside(self, thetas):
        """The user's thetas."""
        return self.coordinates.out_of_each(thetas)

    def columns(self, part, some):
        """The problems of all weightings at some C, with the features of a part."""
        if self.made[0] is not part or self.made[1] is not some:
            penalties = [self.penalty(i, total) for i in some for total in part.several.totals]
            if part is not self.all:
                penalties = [penalty.restricted(part.features) for penalty in penalties]
            self.made = part, some, Columns.of(np.tile(self.weightings, len(some)), penalties, part.several.shape)
        return self.made[2]

    def penalty(self, i, total):
        """The penalty at the i-th C, for a weighting whose weights add up to ``total``."""
        return self.problem.penalty_of(self.Cs[i], self.l1_ratio, total)

    def gap(self, i, model, point, excess):
        """The proven bound of the first weighting at its point."""
        objective = Objective(self.coordinates.rows, self.problem.loss, self.penalty(i, self.all.several.totals[0]))
        return duality_gap(LocalModel(objective, point, model), self.rng, self.settings.formed_tol, excess)
