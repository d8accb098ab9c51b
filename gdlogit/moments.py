"""The second moments of the features, of all rows or of random rows that are likely to have the rare features."""

from functools import partial

import numpy as np

from . import summands

__all__ = ["likely_rows", "mean_squares", "second_moment"]

TINY = float(np.finfo(float).tiny)
CHANCE_ROUNDS = 5  # of setting the largest chances to 1: the others grow by it, hardly any of them beyond 1


def mean_squares(objective):
    """The mean squares of the features and of the constant feature, shape (p + 1,), in one pass."""
    objective.passes += 1
    return objective.rows.sum(summands.squares)[0][:, 0] / objective.total


def second_moment(objective, size, squares, rng):
    """The mean of x x^T, shape (p + 1, p + 1), over about ``size`` random rows, or all rows; two passes."""
    p = objective.shape[0]
    if size >= objective.n_rows:
        return objective.rows.sum(summands.second_moment, products=p)[0] / objective.total
    objective.passes += 1
    index, share = likely_rows(objective, size, squares, rng)
    moment, n_parts = 0.0, -(-len(index) // max(1, objective.largest_sample))
    for some, times in zip(np.array_split(index, n_parts), np.array_split(share, n_parts), strict=True):
        part = objective.rows.take(some).reweighted(times)
        moment = moment + part.sum(summands.second_moment, products=p)[0]
    return moment / objective.total


def likely_rows(objective, size, squares, rng, z=None):
    """The numbers of about ``size`` random rows, and how many rows each stands for; one pass.

    Half of a row's probability is the same for all rows. The other half is the row's share in the sum of squared
    norms, in units of the mean ``squares`` and, at scores ``z``, times the curvature of the row's loss. So the few rows
    that have a rare feature, or curvature, are likely to be drawn; such rows then stand for fewer others.
    """
    objective.passes += 1
    leverage = np.asarray(objective.rows.each(partial(summands.leverages, squares)))
    if z is not None:
        leverage = leverage * np.asarray(objective.rows.map(partial(summands.traces, objective.loss), z))
    chance = chances(0.5 + 0.5 * leverage / max(leverage.mean(), TINY), size)
    index = np.flatnonzero(rng.random(objective.n_rows) < chance)
    return index, 1 / chance[index]


def chances(size_of_each, expected):
    """Probabilities in proportion to a size, at most 1, that add up to an expected number of rows, less than all."""
    chance = size_of_each * (expected / size_of_each.sum())
    for _ in range(CHANCE_ROUNDS):
        surely = chance >= 1
        remaining = expected - np.count_nonzero(surely)
        chance = np.where(surely, 1.0, size_of_each * (remaining / size_of_each[~surely].sum()))
    return np.minimum(chance, 1.0)
