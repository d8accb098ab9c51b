r"""Learning from a stream: each batch of rows is seen once, and then stands in a quadratic.

The sum of the losses of all rows so far, about a point v, is nearly

    sum_i s_i loss_i(theta)  ~  Q(theta) = r . (theta - v) + 1/2 (theta - v)^T P (theta - v) + const.

When a batch comes, theta moves to the minimum of Q + the batch's own losses + |W|^2 / (2C), by Newton's method; then
the batch's Taylor series there, of second order, is added to Q. In Bayes's terms that is Laplace's approximation, the
last posterior being the next prior. No rate is chosen, and scale and correlation of the features do not matter.

- The penalty stays outside Q, so it applies exactly once to the whole stream, and C may change on the way.
- r, the gradient that is left, is kept: a Newton method that ends early loses nothing, and rounding does not add up.
- *Rows wait*, as they are, until 1,000 have come, and go into Q together. A Taylor series is only as good as the point
  where it is taken, and after a few rows that point is far off: rows that it fits by chance have no curvature there,
  and are forgotten. So one row at a time learns what 1,000 at a time do.
- P is the full Hessian up to as many parameters as a fit forms one of (1,500); beyond, its diagonal.

Shapes: theta, r (p + 1, k); P (P, P) over theta flattened, or its diagonal in theta's shape. Losses are summed, not
averaged: an excess of 1 is a likelihood e times smaller, on any data.

References
----------
Spiegelhalter and Lauritzen, "Sequential updating of conditional probabilities on directed graphical structures",
Networks 20 (1990). Chapelle and Li, "An empirical evaluation of Thompson sampling", NeurIPS 2011 (the diagonal one).
Opper, "A Bayesian approach to on-line learning", in "On-line Learning in Neural Networks" (1998).
Dawid, "Present position and potential developments: the prequential approach", JRSS A 147 (1984).
"""

from typing import Any, NamedTuple

import numpy as np

from .descent.armijo import line_search
from .objective import Objective, Point
from .penalty import ElasticNet
from .quadratic.curvature import Cholesky, ConjugateGradients, Jacobi
from .quadratic.metric import without_shift

__all__ = ["Stream", "begin", "learn"]

ENOUGH_ROWS = 1000  # go into Q together. More would come nearer to the optimum, at a higher price per small batch
GOAL = 0.01  # excess of the summed loss, in units of a row's weight: far below what the rows themselves can tell
MOST_STEPS = 100  # classes that the rows separate take a step for each unit of their margins


class Quadratic(NamedTuple):
    """Q: about ``theta``, its gradient and its Hessian, full or diagonal."""

    theta: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray

    def change(self, theta):
        """Q(theta) - Q(self.theta), and the gradient at theta."""
        d = theta - self.theta
        bend = self.hessian * d if self.is_diagonal else (self.hessian @ d.ravel()).reshape(d.shape)
        return float(np.vdot(self.gradient + bend / 2, d)), self.gradient + bend

    def about(self, theta):
        """The same quadratic, expanded about another point."""
        return self._replace(theta=theta, gradient=self.change(theta)[1])

    @property
    def is_diagonal(self):
        """Whether only the diagonal of the Hessian is kept."""
        return self.hessian.shape == self.theta.shape


class Stream(NamedTuple):
    """All that is kept of a stream: where it stands, Q for the rows gone by, and the rows that wait.

    ``theta`` is that of features measured from ``centre``, about the mean of the first batch.
    """

    theta: np.ndarray
    past: Quadratic
    waiting: Any
    centre: np.ndarray


class Present:
    """Q + the losses of the rows at hand + the penalty: what the descent needs of an objective, in units of one row."""

    def __init__(self, past, rows, loss, penalty):
        self.past, self.penalty = past, penalty
        self.losses = Objective(rows, loss, ElasticNet(0.0), total=1.0)
        self.resolution = self.losses.resolution

    def at(self, theta):
        """Value and gradient at theta."""
        _, value, gradient = self.losses.at(theta)
        past, slope = self.past.change(theta)
        value += past + self.penalty.value(theta)
        return Point(theta, value, gradient + slope + self.penalty.gradient(theta))

    def metric(self, theta):
        """The Hessian at theta, to solve with; the rows' share of it is kept for ``taken_in``."""
        penalty = self.penalty.curvature(theta)
        if not self.past.is_diagonal:
            self.newest = self.losses.hessian(theta)
            hessian = self.newest + self.past.hessian
            np.einsum("ii->i", hessian)[:] += penalty.ravel()
            return Cholesky(without_shift(hessian, self.losses.shape, slice(None)))
        c = self.losses.curvature(self.losses.scores(theta))
        self.newest = self.losses.hessian_diagonal(c)
        diagonal, product = self.past.hessian + penalty, self.losses.hessian_product(c)
        return ConjugateGradients(lambda v: product(v) + diagonal * v, Jacobi(self.newest + diagonal), lambda r: np.inf)

    def taken_in(self, point):
        """Q with the rows' Taylor series at the point where the Hessian was last taken."""
        gradient = point.gradient - self.penalty.gradient(point.theta)
        return Quadratic(point.theta, gradient, self.past.hessian + self.newest)


class Aim(NamedTuple):
    """Where a step starts, and where it goes."""

    point: Point
    excess: float
    direction: np.ndarray


def begin(rows, loss):
    """The stream before its first batch, whose rows say what their features are measured from."""
    theta = np.zeros((rows.shape[1], loss.n_outputs))
    dense = Objective(rows, loss, ElasticNet(0.0)).forms_hessian
    hessian = np.zeros((theta.size, theta.size)) if dense else np.zeros_like(theta)
    return Stream(theta, Quadratic(theta, np.zeros_like(theta), hessian), None, rows.centred().centre)


def learn(stream, rows, loss, C):
    """The stream after one more batch, and the batch's mean loss before: a test on rows not yet learned from."""
    rows = rows.about(stream.centre)
    before = Objective(rows, loss, ElasticNet(0.0)).at(stream.theta).value
    if stream.waiting is not None:
        rows = rows.after(stream.waiting)
    present = Present(stream.past, rows, loss, ElasticNet(1 / C))
    n_rows = rows.shape[0]
    goal = GOAL * min(1.0, rows.total / n_rows)  # weights may add up to 1
    with rows.threads():
        point, theta = settle(present, [stream.theta, stream.past.theta], goal)
    if n_rows < ENOUGH_ROWS:
        return stream._replace(theta=theta, waiting=rows.take(np.arange(n_rows))), before
    return stream._replace(theta=theta, past=present.taken_in(point).about(theta), waiting=None), before


def settle(present, starts, goal):
    """Newton steps from the better start; the last gains no more than the goal: the point before it, theta after it.

    Where the last theta was led astray, by rows of one class, say, the losses may have no curvature left there.
    """
    aim = aim_from(present, min(map(present.at, starts), key=lambda point: point.value))
    for _ in range(MOST_STEPS):
        point, rate = step_along(present, aim)
        if aim.excess <= goal or rate == 0:
            return aim.point, point.theta
        aim = aim_from(present, point)
    return aim.point, aim.point.theta


def step_along(present, aim):
    """The line search along an aim: the point, and the rate."""
    theta, direction = aim.point.theta, aim.direction
    return line_search(present, aim.point, direction, lambda rate: present.at(theta + rate * direction))


def aim_from(present, point):
    """The Newton step from a point."""
    direction = -present.metric(point.theta).solve(point.gradient)
    return Aim(point, -0.5 * float(np.vdot(point.gradient, direction)), direction)
