"""The log-likelihood of the contrasts over rows: it does for l what ``Objective`` does for J.

    l(theta) = -sum_i s_i loss(y_i, W^T x_i + b),    score u = dl/dtheta,    information I = -d^2 l / dtheta^2

Rows are measured from about their means; theta (p + 1, k') holds contrasts, intercept last.
"""

from contextlib import contextmanager
from functools import partial
from operator import add

import numpy as np

from ..summands import weight_of_classes
from . import summands

__all__ = ["Likelihood"]

MOST_INTERCEPT_STEPS = 100  # of Newton's method for the intercepts alone
LARGEST_INTERCEPT_STEP = 2.0  # change of an intercept in one such step
INTERCEPT_SLOPE = 1e-12  # slope per row at which these steps end


class Likelihood:
    """The log-likelihood over rows, in given coordinates.

    ``weighted`` says what weights mean: True for sampling weights, False for how often a row occurs. ``passes`` counts
    the passes over the rows.
    """

    def __init__(self, coordinates, loss, contrasts, weighted=False):
        self.coordinates, self.loss, self.contrasts, self.weighted = coordinates, loss, contrasts, weighted
        self.rows = coordinates.rows
        self.n_rows, self.total = self.rows.n_rows, self.rows.total
        self.shape = self.rows.n_features + 1, contrasts.n
        self.n_parameters = self.shape[0] * self.shape[1]
        self.passes, self._holds = 0, False

    @property
    def has_intercept(self):
        """Whether each row carries a constant feature."""
        return bool(self.rows.constant)

    @property
    def has_offset(self):
        """Whether an offset is added to the rows' scores."""
        return self.rows.has_offset

    @property
    def n_observations(self):
        """The number of rows: of those with a weight, for sampling weights; otherwise the sum of the frequencies."""
        return float(self.rows.n_counted) if self.weighted else self.rows.total

    def of_data(self, theta, value):
        """The log-likelihood of the rows alone, from the ``value`` at theta of what is maximised."""
        return value

    @contextmanager
    def threads(self):
        """A context that keeps the threads for several passes, as starting them takes longer than a small pass."""
        if self._holds:
            yield
            return
        with self.rows.threads():
            self._holds = True
            try:
                yield
            finally:
                self._holds = False

    def users(self, theta):
        """The user's theta of all scores; the coefficients of each feature of a softmax add up to 0."""
        theta = self.contrasts.theta(self.coordinates.centred.leave(theta))
        return theta if theta.shape[1] == 1 else theta - theta.mean(axis=1, keepdims=True)

    def inside(self, theta):
        """The inverse of ``users``: contrasts, for features measured from about their means."""
        return self.contrasts.of(self.coordinates.into(theta))

    def user_parameters(self):
        """The user's flat parameters as linear functions of a flat theta: T (P, P), a row for each parameter."""
        T = self.coordinates.centred.leave(np.eye(self.n_parameters).reshape(self.shape[0], -1))
        return T.reshape(self.n_parameters, -1)

    def user_parameter(self, row, c):
        """The user's parameter of a row and a class as a linear function of theta, in theta's shape."""
        function, centred = np.zeros(self.shape), self.coordinates.centred
        if row == len(function) - 1:
            function[:-1, c], function[-1, c] = -centred.centre, 1
        else:
            function[row, c] = centred.leave(np.eye(len(function))[row][:, None])[row, 0]
        return function

    def score(self, theta):
        """The value of l and its score, in one pass."""
        loss, slope = self.sum(partial(summands.score, self.loss, self.contrasts, theta))
        return -loss, -slope

    def largest_change(self, step):
        """The largest change of a row's scores by a step, in half a pass."""
        return self.fold(partial(summands.largest_change, step), max)[0]

    def columns(self, thetas):
        """The l (M,) and the scores (p + 1, k', M) of M thetas, in one pass over the rows."""
        f = partial(summands.columns, self.loss, self.contrasts, thetas)
        losses, slopes = self.sum(f, products=2 * self.shape[1] * thetas.shape[2])
        return -losses, -slopes

    def information(self, theta):
        """The value of l, its score and its information (P, P), in one pass."""
        f = partial(summands.information, self.loss, self.contrasts, theta)
        loss, slope, information = self.sum(f, products=self.n_parameters * self.shape[1])
        return -loss, -slope, information

    def null(self):
        """The largest l of a model without features: at the best intercepts, if there are intercepts."""
        theta = np.zeros(self.shape)
        if self.has_offset or not self.has_intercept:
            return self.score(self.with_best_intercepts(theta) if self.has_intercept else theta)[0]
        (weight,) = self.rows.sum(partial(weight_of_classes, self.contrasts.n + 1))
        seen = weight[weight > 0]
        return float(seen @ np.log(seen / seen.sum()))

    def with_best_intercepts(self, theta):
        """A theta with the same coefficients and the intercepts that maximise l, by Newton's method."""
        theta = theta.copy()
        with self.threads():
            for _ in range(MOST_INTERCEPT_STEPS):
                slope, curvature = self.sum(partial(summands.intercepts, self.loss, self.contrasts, theta))
                if np.abs(slope).max() <= INTERCEPT_SLOPE * self.total:
                    break
                theta[-1] -= np.clip(np.linalg.solve(curvature, slope), -LARGEST_INTERCEPT_STEP, LARGEST_INTERCEPT_STEP)
        return theta

    def meat(self, theta, adjust=None):
        """The sum of the rows' u_i u_i^T (P, P), in one pass."""
        f = partial(summands.meat, self.loss, self.contrasts, theta, self.weighted, adjust)
        return self.sum(f, products=self.n_parameters * (1 if adjust is None else 3) * self.shape[1])[0]

    def scores_of_groups(self, theta, group, n_groups):
        """The scores u_g (n_groups, P) of groups of rows, in one pass."""
        f = partial(summands.scores_of_groups, self.loss, self.contrasts, theta, n_groups)
        return self.sum(f, group)[0].total()

    def sum(self, f, *each, products=None):
        """The sum of f over all rows, in float64."""
        return self.fold(f, add, *each, products=products)

    def fold(self, f, combine, *each, products=None):
        """The values of f, in float64, combined over all rows."""
        self.passes += 1
        with self.threads():
            return self.rows.fold(partial(summands.in_float64, f), combine, *each, products=products)

    def each(self, f, *each):
        """The values of f for each row, in float64."""
        self.passes += 1
        with self.threads():
            return self.rows.each(partial(summands.in_float64, f), *each)
