r"""Learning from a stream: each batch of rows is seen once, and a quadratic then stands for its losses.

The sum of the losses of all rows so far, about a point v, is nearly

    sum_i s_i loss_i(theta)  ~  Q(theta) = r . (theta - v) + 1/2 (theta - v)^T P (theta - v) + const.

When a batch comes, theta moves to the minimum of Q + the batch's own losses + |W|^2 / (2C), by Newton's method. Then
the second-order Taylor series of the batch's losses there is added to Q. In Bayes's terms that is Laplace's
approximation, with each posterior as the next prior. There is no learning rate, and scale and correlation of the
features do not matter.

- The penalty stays outside Q, so it applies exactly once to the whole stream, and C may change from batch to batch.
- r, the remaining gradient, is kept: a Newton method that ends early loses nothing, and rounding does not add up.
- *Rows wait* until 1,000 have come, and then go into Q together. A Taylor series is only as good as the point where it
  is taken, and after a few rows that point is far off: rows that the point fits by chance have no curvature there, and
  would be forgotten. So rows that come one at a time teach as much as rows that come 1,000 at a time.
- P is the full Hessian for as many parameters as a fit forms a Hessian of (1,500), and its diagonal for more. With a
  diagonal P, features that no row at hand has stay where they are, at the minimum of Q and their penalty. So a CSR
  batch costs what its entries cost, and a few numbers for each feature.

A batch of one row is to cost what a row costs, not what a Hessian costs:

- *The factorised Hessian is kept* as long as its steps do well. Rows that come after it are added by Woodbury's
  identity, with the curvature that they have now. Every gradient is exact.
- *Along a step* the scores and Q's gradient are linear, so no step length costs a product with the rows or with P.
- *Rows on the wrong side* have hardly any curvature, and a Newton step with that curvature may end anywhere. These rows
  get the curvature of a parabola that is nowhere below their loss: see ``backprop.secant``.

Shapes: theta, r (p + 1, k); P (P, P) over theta flattened, or its diagonal in theta's shape. Losses are summed, not
averaged: an excess of 1 is a likelihood e times smaller, on any data.

References
----------
Spiegelhalter and Lauritzen, "Sequential updating of conditional probabilities on directed graphical structures",
Networks 20 (1990). Chapelle and Li, "An empirical evaluation of Thompson sampling", NeurIPS 2011 (the diagonal one).
Opper, "A Bayesian approach to on-line learning", in "On-line Learning in Neural Networks" (1998).
Jaakkola and Jordan, "Bayesian parameter estimation via variational methods", Statistics and Computing 10 (2000).
Dawid, "Present position and potential developments: the prequential approach", JRSS A 147 (1984).
"""

from functools import partial
from math import inf
from typing import Any, NamedTuple

import numpy as np

from .descent.armijo import line_search
from .objective import Objective
from .penalty import ElasticNet, penalty_in
from .quadratic.curvature import Cholesky, ConjugateGradients, Jacobi, Updated, without_shift

__all__ = ["Stream", "begin", "learn"]

ENOUGH_ROWS = 1000  # go into Q together. More would come nearer to the optimum, but a small batch would cost more
BATCH_EXCESS = 0.01  # of the summed loss, in units of a row's weight: far below the sampling error of the rows
MOST_STEPS = 100  # separable classes take one step for each unit of their margins
FALL_SHARE = 0.25  # fall / fall that the slope promises: a step far beyond the minimum, to flat losses, falls by less
STALE_SHARE = 0.3  # excess after a step / excess before: a Hessian whose step leaves more is not that of this point
LARGE_EXCESS = 10  # after a step from a larger excess, rows may have changed sides, and so their curvature


class Quadratic(NamedTuple):
    """Q about ``theta``: its gradient there, its Hessian (full or diagonal), and its value up to a constant."""

    theta: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray
    value: float = 0.0

    @property
    def is_diagonal(self):
        """Whether only the diagonal of the Hessian is kept."""
        return self.hessian.shape == self.theta.shape

    def bend(self, d):
        """The Hessian times d."""
        return self.hessian * d if self.is_diagonal else (self.hessian @ d.ravel()).reshape(d.shape)

    def moved(self, d, bend):
        """The same quadratic about theta + d, where the Hessian times d is ``bend``."""
        rise = float(np.vdot(self.gradient + bend / 2, d))
        return Quadratic(self.theta + d, self.gradient + bend, self.hessian, self.value + rise)

    def about(self, theta):
        """The same quadratic about another point, where its value counts as 0."""
        if theta is self.theta:
            return self._replace(value=0.0)
        d = theta - self.theta
        return self.moved(d, self.bend(d))._replace(theta=theta, value=0.0)

    def part(self, some):
        """The terms of a diagonal Q for some rows of theta; None stands for all rows of theta."""
        return self if some is None else Quadratic(*(array[some] for array in self[:3]))

    def with_part(self, some, part):
        """The same quadratic with other terms for some rows of theta, those of ``part``."""
        return part if some is None else Quadratic(*map(partial(replaced, some), self[:3], part[:3]))


class Stream(NamedTuple):
    """All that is kept of a stream: where it stands, Q for the rows gone by, and the rows that wait.

    ``theta`` is that of features in their ``unit``, see ``data.units``, measured from ``centre``, None for 0. ``kept``
    is the Hessian of the last step, with the rows that have come since, as long as it serves. ``C`` is that of the last
    batch.
    """

    theta: np.ndarray
    past: Quadratic
    waiting: Any
    centre: np.ndarray | None
    kept: Updated | None = None
    C: float | None = None
    unit: np.ndarray | float = 1.0

    @property
    def coefficients(self):
        """The theta of features as they come."""
        theta = self.theta.copy()
        if self.centre is not None:
            theta[-1] -= self.centre @ theta[:-1]
        if np.ndim(self.unit):
            with np.errstate(over="ignore", under="ignore"):  # ``held`` refuses infinity
                theta[:-1] /= self.unit[:, None]
        return theta


class Here(NamedTuple):
    """A point of the descent: Q about the point, the rows' scores z there, and value and gradient of the whole sum."""

    past: Quadratic
    z: np.ndarray
    value: float
    gradient: np.ndarray

    @property
    def theta(self):
        """The point."""
        return self.past.theta


class Present:
    """The sum that a batch minimises: Q + the losses of the rows at hand + the penalty, in units of one row."""

    def __init__(self, rows, loss, penalty):
        self.y, self.weight, self.loss, self.penalty = rows.y, rows.weight, loss, penalty
        self.losses = Objective(rows, loss, ElasticNet(0.0), total=1.0)
        self.resolution = self.losses.resolution

    def at(self, past, z):
        """The point about which Q is written, where the rows have scores z."""
        theta, value, gradient = self.losses.at_scores(past.theta, z)
        value += past.value + self.penalty.value(theta)
        return Here(past, z, value, gradient + past.gradient + self.penalty.gradient(theta))

    def start(self, here):
        """The point itself, or theta = 0 where the sum is lower there, say because all rows so far had one class."""
        z = np.zeros_like(here.z)
        if self.losses.has_offset:
            z = self.losses.scores(np.zeros_like(here.theta))
        elif here.value <= self.weight.sum() * np.log(max(2, self.loss.n_outputs)):  # the rows' losses at 0
            return here
        zero = self.at(here.past.moved(-here.theta, here.past.bend(-here.theta)), z)
        return min(here, zero, key=lambda point: point.value)

    def along(self, here, direction):
        """The function from a rate to the point at that rate. The products that all rates need are computed once."""
        change, bend = self.losses.score_changes(direction), here.past.bend(direction)
        return lambda rate: self.at(here.past.moved(rate * direction, rate * bend), here.z + rate * change)

    def mean_loss(self, z, some):
        """The mean loss of some of the rows, given the scores z of all rows."""
        weight = self.weight[some]
        losses, _ = self.loss.forward_backward(z[some], self.y[some])
        return float(weight @ losses / weight.sum())

    def hessian(self, here):
        """The Hessian for a step, factorised or known by its products, with a secant curvature for each row."""
        c, penalty, past = self.losses.secant_curvature(here.z), self.penalty.curvature(here.theta), here.past
        if past.is_diagonal:
            diagonal, product = past.hessian + penalty, self.losses.hessian_product(c)
            rough = Jacobi(self.losses.hessian_diagonal(c) + diagonal)
            return ConjugateGradients(lambda v: product(v) + diagonal * v, rough, lambda r: inf)
        hessian = self.losses.hessian_at(c) + past.hessian
        np.einsum("ii->i", hessian)[:] += penalty.ravel()
        return Cholesky(without_shift(hessian, here.theta.shape, slice(None)))

    def curved(self, kept, z):
        """A kept Hessian with the rows that have come since; their curvature is that at scores z."""
        last = slice(len(z) - len(kept.rows), None)
        c, weight = self.loss.secant_curvature(z[last], self.y[last])[..., None], self.weight[last, None, None]
        return kept._replace(bend=lambda v: weight * self.loss.bend(c, v))

    def summed_up(self, here):
        """Q plus the Taylor series of the rows' losses."""
        c, gradient = self.losses.curvature(here.z), here.gradient - self.penalty.gradient(here.theta)
        hessian = self.losses.hessian_diagonal(c) if here.past.is_diagonal else self.losses.hessian_at(c)
        return Quadratic(here.theta, gradient, here.past.hessian + hessian)


def begin(rows, loss, C):
    """The stream before its first batch, whose rows say what their features are measured from, and in which unit."""
    unit = rows.own_unit
    rows = rows.measured_in(unit)
    theta = np.zeros((rows.shape[1], loss.n_outputs))
    is_formed = Objective(rows, loss, ElasticNet(0.0)).forms_hessian
    hessian = np.zeros((theta.size, theta.size)) if is_formed else np.zeros_like(theta)
    centre = rows.centred().centre if is_formed or not rows.is_sparse else None  # or a row would have all features
    return Stream(theta, Quadratic(theta, np.zeros_like(theta), hessian), None, centre, None, C, unit)


def learn(stream, rows, loss, C):
    """The stream after one more batch, and the batch's mean loss before: a test on rows not yet learned from."""
    n_new, kept, rows = rows.n_rows, stream.kept, rows.measured_in(stream.unit)
    rows = rows if stream.centre is None else rows.about(stream.centre)
    if kept is not None:
        kept = kept.after(rows.filled()) if kept.has_room(n_new) else None
    if stream.waiting is not None:
        rows = rows.after(stream.waiting)
    elif n_new < ENOUGH_ROWS:
        rows = rows.take(np.arange(n_new))  # a copy, because the rows wait
    past, enough = stream.past.about(stream.theta), rows.n_rows >= ENOUGH_ROWS
    # Features that no row has stand at the minimum of Q + penalty, unless C has changed.
    some, at_hand = rows.seen() if past.is_diagonal and C == stream.C else (None, rows)
    penalty = penalty_in(ElasticNet(1 / C), stream.unit)
    penalty = penalty if some is None else penalty.restricted(some[:-1])
    present, part = Present(at_hand, loss, penalty), past.part(some)
    with at_hand.threads():
        here = present.at(part, present.losses.scores(part.theta))
        start = present.start(here)
        kept = kept if start is here else None
        end, kept = settle(present, start, kept, BATCH_EXCESS * min(1.0, rows.total / rows.n_rows))
        past = past.with_part(some, present.summed_up(end) if enough else end.past)
    kept, waiting = None if enough or past.is_diagonal else kept, None if enough else rows
    stream = stream._replace(theta=past.theta, past=past, waiting=waiting, kept=kept, C=C)
    return stream, present.mean_loss(here.z, slice(-n_new, None))


def settle(present, here, kept, goal):
    """Take Newton steps until one falls by what it promised, to within the goal; return the end and a Hessian to keep.

    The difference between the promised fall and the fall of a step is about the excess after the step. A Hessian is
    kept as long as its steps leave a small share of the excess. The goal supposes weights of about 1.
    """
    last = inf
    for _ in range(MOST_STEPS):
        hessian = kept or Updated.of(present.hessian(here), here.theta.shape)
        direction = -present.curved(hessian, here.z).solve(here.gradient)
        excess, rate, value = -0.5 * float(np.vdot(here.gradient, direction)), 0.0, here.value
        if not kept or 0 <= excess <= max(goal, STALE_SHARE * last):
            here, rate = line_search(present, here, direction, present.along(here, direction), part=FALL_SHARE)
        if rate:
            kept, last = hessian if excess <= LARGE_EXCESS else None, excess
        elif kept:
            kept = None  # the next step goes from the same point, with a new Hessian
            continue
        if not rate or abs(value - here.value - excess) <= goal:
            break
    return here, kept


def replaced(some, array, part):
    """A copy of an array with ``part`` in the place of some of its rows."""
    array = array.copy()
    array[some] = part
    return array
