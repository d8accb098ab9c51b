"""The solutions in several weightings over a path of C, with an l1 penalty: all of them at once, one C after another.

At each C all weightings go side by side, from a start that the solutions at the last two C extrapolate, on a working
set of features: the features with a nonzero coefficient, and those that the strong rule does not leave out. Let g_j be
the slopes of the loss at the last C, l' the l1 strength there, and l the l1 strength at this C. A feature with
|g_j| < 2 l - l' hardly ever leaves zero. One pass over all features finds the exceptions, which then join the working
set. The features of the working set are copied, and copied again only if features are missing.

The metric is the Hessians of all weightings, made at an earlier C, at the solution of one weighting. If a problem takes
many steps, the Hessians are made anew.

References
----------
Tibshirani et al., "Strong rules for discarding predictors in lasso-type problems", JRSS B 74 (2012).
"""

from typing import NamedTuple

import numpy as np

from .descent.several import Metrics, descend_side_by_side
from .objective import Objective
from .problem import Coordinates
from .quadratic.metric import LocalModel
from .several import Columns, Several
from .side_by_side import Fits, largest_error
from .verdict.duality import duality_gap

__all__ = ["FEW_FEATURES", "L1Path"]

FEW_FEATURES = 200  # up to this number, all features are in the working set from the start
SLOPE_TOLERANCE = 1e-9  # relative to l1: a slope that exceeds l1 by less is rounding
MANY_STEPS = 3  # at one C: if a problem takes more, the metric is made anew for the next C
# Factor of tol for a softmax. A shift of all classes hardly moves J, so theta would not be known to five digits.
SOFTMAX_TOL = 0.01
STEPS_AHEAD = 3.0  # steps of C for which features are copied at a time


class Part(NamedTuple):
    """A problem with some of its features. ``index`` has their rows of theta, and the row of the intercept."""

    index: np.ndarray  # type: ignore[assignment]  # tuples have a method of this name
    coordinates: Coordinates
    several: Several

    @classmethod
    def of(cls, problem, shares, features=None):
        """The part with some features, or with all."""
        p = problem.shape[0] - 1
        coordinates = Coordinates.of_newton((problem if features is None else problem.restricted(features)).rows, 0)
        index = np.append(np.arange(p) if features is None else features, p)
        return cls(index, coordinates, Several(coordinates.rows, problem.loss, shares))

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
        self.all = self.part = Part.of(problem, shares)
        self.weightings, self.shape = np.arange(shares.shape[1]), problem.shape
        self.last = [self.first(start)]
        self.hessians = self.slopes = None
        self.made = None, 0, None  # the columns that were made last, after their part and the number of their C

    def first(self, start):
        """The thetas at which all weightings start."""
        theta = np.zeros((len(self.weightings), *self.shape))
        if start is not None:
            theta[:] = self.all.coordinates.into(start)
        elif not self.problem.has_offset:
            theta[:, -1] = self.problem.best_intercepts()
        return theta

    @property
    def takes_all(self):
        """Whether all features are in the working set."""
        return len(self.all.features) <= FEW_FEATURES

    def path(self):
        """Yield the number of each C and its Fits; end where the working set is too large to form a Hessian."""
        for i in range(len(self.Cs)):
            theta = self.ahead(i)
            if not self.takes_all:
                if self.slopes is None:
                    self.look(i, theta)
                self.take(i, theta, self.in_play(i, theta, 1.0))
            fits = self.at(i, theta)
            if fits is None:
                self.alone.last = list(self.outside(self.last[-1]))
                return
            yield i, fits

    def at(self, i, theta):
        """The Fits at the i-th C, from given thetas; None where the working set is too large."""
        n_iter = np.zeros(len(self.weightings), int)
        while True:
            if len(self.part.index) * self.shape[1] > self.settings.formed_parameters:
                return None
            theta, excess, n_steps, converged, separable = self.descend(i, theta)
            n_iter += n_steps
            point = self.look(i, theta)
            missing = self.violating(i, theta)
            if not missing.any():
                break
            self.take(i, theta, missing)
        self.last = [*self.last[-1:], theta]
        gap = np.full(len(theta), np.nan)
        with self.all.several.threads():
            gap[0] = self.gap(i, point, excess[0])
        return Fits(self.outside(theta), excess, gap, n_iter, converged, separable)

    # --- Which features -----------------------------------------------------------------------------------------------

    def look(self, i, theta):
        """The point of the first weighting, after a pass that finds the slopes of all features and weightings."""
        several, seen = self.all.several, self.weightings[: 1 if self.takes_all else None]
        with several.threads():
            points = several.at(theta[seen], self.columns(self.all, i).some(seen))
        self.slopes = np.abs(points.gradient)
        return points.some(0)

    def strengths(self, i):
        """The l1 strengths at the i-th C, (F, p + 1, k)."""
        return self.columns(self.all, i).strength

    def in_play(self, i, theta, steps):
        """Which features the strong rule does not leave out, for some steps of C to come."""
        l1 = self.strengths(i)
        before = self.strengths(i - 1) if i else self.slopes[:, :-1].max(axis=(1, 2), keepdims=True)
        return ((self.slopes >= l1 - steps * np.maximum(before - l1, 0)) | (theta != 0))[:, :-1].any(axis=(0, 2))

    def violating(self, i, theta):
        """Which features outside of the working set have a slope that exceeds their l1 strength."""
        if self.takes_all:
            return np.zeros(0, dtype=bool)
        rises = (self.slopes > self.strengths(i) * (1 + SLOPE_TOLERANCE))[:, :-1].any(axis=(0, 2))
        rises[self.part.features] = False
        return rises

    def take(self, i, theta, needed):
        """If the working set lacks needed features, make a new one with these and with what the next few C need."""
        here = np.zeros(self.shape[0] - 1, dtype=bool)
        if self.part is not self.all:
            here[self.part.features] = True
        if self.part is self.all or (needed & ~here).any():
            features = np.flatnonzero(needed | self.in_play(i, theta, STEPS_AHEAD))
            self.part, self.hessians = Part.of(self.problem, self.shares, features), None

    # --- The descent --------------------------------------------------------------------------------------------------

    def ahead(self, i):
        """The start of the weightings: extrapolated linearly in log C, without a change of sign."""
        if i < 2:
            return self.last[-1]
        before, last = self.last
        logs = np.log(self.Cs[i - 2 : i + 1])
        theta = last + (logs[2] - logs[1]) / (logs[1] - logs[0]) * (last - before)
        theta[:, :-1] *= np.sign(theta[:, :-1]) * np.sign(last[:, :-1]) > 0
        return theta

    def descend(self, i, theta):
        """Solve at the i-th C with the working set: theta, excess, number of steps, which converged, or cannot."""
        part, columns = self.part, self.columns(self.part, i)
        start = self.moved(theta, self.all, part)
        with part.several.threads():
            if is_new := self.hessians is None:
                self.hessians = part.several.hessians(start[0])
            metrics = Metrics(part.several, self.hessians.__getitem__)
            error = largest_error(part.several, self.settings.formed_tol)
            found = descend_side_by_side(part.several, columns, start, metrics, self.tol, error=error)
        if metrics.shared is not None:
            self.hessians = metrics.shared
        elif found.n_steps.max() > MANY_STEPS and not is_new:
            self.hessians = None
        theta, separable = self.moved(found.theta, part, self.all), np.zeros(len(theta), bool)
        for f in np.flatnonzero(~found.arrived):
            solution = self.alone.solve(f, self.Cs[i], self.all.coordinates.out_of(theta[f]))
            theta[f] = self.all.coordinates.into(solution.theta)
            found.excess[f], found.n_steps[f] = solution.excess, len(solution.history)
            found.arrived[f], separable[f] = solution.has_converged, solution.is_separable
        return theta, *found[1:4], separable

    def moved(self, thetas, source, target):
        """The thetas of one part, in the coordinates of another part."""
        if source is target:
            return thetas
        users = np.zeros((len(thetas), *self.shape))
        users[:, source.index] = [source.coordinates.out_of(theta) for theta in thetas]
        return np.stack([target.coordinates.into(theta[target.index]) for theta in users])

    def outside(self, thetas):
        """The user's thetas."""
        return self.all.coordinates.out_of_each(thetas)

    def columns(self, part, i):
        """The problems of all weightings at the i-th C, with the features of a part."""
        if self.made[0] is not part or self.made[1] != i:
            penalties = [self.penalty(i, total) for total in part.several.totals]
            if part is not self.all:
                penalties = [penalty.restricted(part.features) for penalty in penalties]
            self.made = part, i, Columns.of(self.weightings, penalties, part.several.shape)
        return self.made[2]

    def penalty(self, i, total):
        """The penalty at the i-th C, for a weighting whose weights add up to ``total``."""
        return self.problem.penalty_of(self.Cs[i], self.l1_ratio, total)

    def gap(self, i, point, excess):
        """The proven bound of the first weighting at its point."""
        objective = Objective(self.all.coordinates.rows, self.problem.loss, self.penalty(i, self.all.several.totals[0]))
        return duality_gap(LocalModel(objective, point), self.rng, self.settings.formed_tol, excess)
