"""What a proof asks of the rows: dual points, which bound J - min J, and margins, which show whether J has a minimum.

A margin is a row's score of its own class less its score of another class. ``verdict`` has the proofs.
"""

from functools import partial
from math import inf

import numpy as np

from . import summands

__all__ = ["flows", "largest_margin", "least_margins", "margin_changes", "margin_matrix", "shrunk", "tilt"]


def tilt(objective, theta, u, most=inf):
    """The dual point where a step u tilts the probabilities at theta, by at most ``most``: see ``duality``.

    Returns S KL(a' || a); 1/S sum_i s_i x_i (a_i - a'_i)^T; and a mask of the rows that leave [0, 1], None where
    none does. The proof counts the passes, in passes over all rows, for these rows may be a sample.
    """
    kl, change, n_infeasible = objective.rows.sum(partial(summands.tilt, objective.loss, theta, u, most))
    infeasible = objective.rows.each(partial(summands.infeasible, objective.loss, theta, u)) if n_infeasible else None
    return kl, change / objective.total, infeasible


def shrunk(objective, theta, factors):
    """The dual point where each class's residuals at theta are multiplied by a factor; one pass.

    Returns S KL(a' || a) and 1/S sum_i s_i x_i (a'_i - y_i)^T.
    """
    objective.passes += 1
    kl, slope = objective.rows.sum(partial(summands.shrunk, objective.loss, theta, factors))
    return kl, slope / objective.total


def flows(objective, theta):
    """The weighted sum of the residuals at theta of each class's rows, shape (n_classes, k); one pass."""
    objective.passes += 1
    return objective.rows.sum(partial(summands.flows, objective.loss, theta, objective.n_classes))[0]


def largest_margin(objective, theta):
    """The largest margin at theta: a row's score of its own class less its score of another class."""
    objective.passes += 0.5
    return objective.rows.fold(partial(summands.largest_margin, objective.loss, theta), max)[0]


def margin_changes(objective, direction):
    """The largest rise of a margin along a direction, and the largest fall."""
    objective.passes += 0.5
    return objective.rows.fold(partial(summands.margin_changes, objective.loss, direction), max)


def least_margins(objective, direction, reference, n_least):
    """The numbers of the ``n_least`` margins of least surplus, and the surpluses: see ``summands``."""
    f = partial(summands.least_margins, objective.loss, direction, reference, n_least)
    return objective.rows.fold(f, partial(summands.smallest, n_least))[0]


def margin_matrix(objective, numbers):
    """The margins with the given numbers, as a matrix that acts on a flat theta of the rows as stored."""
    index, other = np.divmod(numbers, objective.loss.n_margins)
    rows, margin = objective.rows.take(index), (np.arange(len(numbers)), other)
    units = np.eye(objective.shape[1])[:, None].repeat(len(numbers), axis=1)
    return rows.kronecker(np.stack([objective.loss.margins(unit, rows.y)[margin] for unit in units], axis=1))
