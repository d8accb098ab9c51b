r"""Of the minima that J has where features are collinear and nothing is penalised, the one of least norm.

Directions N that change no score lead from one minimum to all others, theta + N t. They are the null space of the
features' second moments, in units of each feature's spread; of these minima the one with the least

    sum_jc (spread_j W_jc)^2

is returned. Columns that are the same share their weight evenly, and a constant feature has none. Where the classes are
separable, J has no minimum, but the scores at which a fit stops are those of many theta all the same: then, too, the
one of least norm is returned. It depends on nothing but these scores, the rows that count, and the features' spreads:
so a row of weight 2 is the row twice. The coordinates of few rows of many features have that norm, see ``span``.
"""

import numpy as np

__all__ = ["of_least_norm"]

CONSTANT_SPREAD = 1e-7  # of a feature's offset: a smaller spread is the offset's rounding
MOST_SCORE_CHANGE = 0.01  # of the root of J's rounding: a smaller change of a margin is none


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
    shift[-1] *= objective.has_intercept  # without an intercept, nothing but rounding
    seen = max(objective.margin_changes(shift)) > MOST_SCORE_CHANGE * np.sqrt(objective.resolution)
    return theta if seen else theta + shift
