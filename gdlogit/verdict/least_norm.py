r"""The minimum of least norm, where features are collinear and nothing is penalised, so that J has many minima.

Directions N that change no score lead from one minimum to all others, theta + N t. They are the null space of the
features' second moments, in units of each feature's spread. Of these minima the one with the least

    sum_jc (spread_j W_jc)^2

is returned. Equal columns then have equal coefficients, and a constant feature has the coefficient 0. Where the classes
are separable, J has no minimum, but many theta have the scores at which the fit stopped. Of these theta, too, the one
of least norm is returned. It depends only on the scores, the rows of nonzero weight, and the features' spreads: so a
row of weight 2 is the same as the row twice. ``span`` chooses the coordinates of few rows of many features such that
the descent itself ends at the least norm.
"""

import numpy as np

from ..proofs import margin_changes

__all__ = ["of_least_norm"]

CONSTANT_SPREAD = 1e-7  # spread / |offset| of a feature: a smaller spread is the rounding of the offset
MOST_SCORE_CHANGE = 0.01  # change of a margin / root of J's rounding: J does not see a smaller change


def of_least_norm(model):
    """The theta of least norm with the scores of a model's point.

    That is the point's own theta unless J is unpenalised and some features are collinear.
    """
    objective, theta = model.objective, model.point.theta
    if not (objective.penalty.is_none and objective.forms_hessian and model.metric.hessian.is_singular):
        return theta
    spread = objective.spread()
    constant = spread <= CONSTANT_SPREAD * np.abs(objective.centre)
    unit = np.append(1 / np.where(constant, 1.0, spread), 1.0)[:, None]
    gram = objective.gram(objective.curvature(objective.scores_of_zero()))
    constant = np.append(constant, False)
    gram[constant] = gram[:, constant] = 0
    values, vectors = np.linalg.eigh(unit * gram * unit.T)
    null = vectors[:, values <= len(values) * objective.resolution * values[-1]]
    shift = unit * (null @ np.linalg.lstsq(null[:-1], -(theta / unit)[:-1])[0])
    shift[-1] *= objective.has_intercept  # without an intercept, the last row is rounding
    changes_scores = max(margin_changes(objective, shift)) > MOST_SCORE_CHANGE * np.sqrt(objective.resolution)
    return theta if changes_scores else theta + shift
