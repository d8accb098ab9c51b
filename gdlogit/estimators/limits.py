"""``coef_bounds`` and ``monotonic_cst``: the bounds of the coefficients, as users write them."""

from collections.abc import Mapping

import numpy as np

from .by_feature import by_feature, called, number_of

__all__ = ["features_at_limits", "limits", "widened"]

FORM = (
    "coef_bounds must be (low, high), two numbers or two arrays with a number for each feature, or a dict of features "
    "and (low, high)"
)


def limits(estimator, columns, factors):
    """The smallest and the largest coefficients, (p, k) each, for classes that have a column; None without bounds."""
    if estimator.coef_bounds is None and estimator.monotonic_cst is None:
        return None
    low, high = of_coefficients(estimator, 1 if len(columns.classes) == 2 else len(columns.classes))
    check(estimator, low, high, factors)
    return columns.narrow(low), columns.narrow(high)


def features_at_limits(estimator):
    """The features of a fitted estimator with a coefficient at a bound, as messages call them."""
    coef = estimator.coef_.T
    low, high = of_coefficients(estimator, coef.shape[1])
    return [str(called(estimator, j)) for j in np.flatnonzero(((coef <= low) | (coef >= high)).any(axis=1))]


def of_coefficients(estimator, k):
    """The bounds of ``coef_bounds`` and of the signs of ``monotonic_cst`` together."""
    low, high = of_bounds(estimator, k)
    if estimator.monotonic_cst is None:
        return low, high
    signs = signs_of(estimator, k)[:, None]
    return np.where(signs > 0, np.maximum(low, 0), low), np.where(signs < 0, np.minimum(high, 0), high)


def widened(theta, columns, estimator):
    """Theta of all classes; of those without a column, the coefficients nearest to 0 that the bounds allow."""
    whole = columns.widen(theta)
    if estimator.coef_bounds is None or columns.used.all():
        return whole
    low, high = of_bounds(estimator, len(columns.classes))
    unused = ~columns.used
    whole[:-1, unused] = np.clip(0.0, low[:, unused], high[:, unused])
    return whole


def of_bounds(estimator, k):
    """The bounds of ``coef_bounds``, infinite for coefficients that have none."""
    given, p = estimator.coef_bounds, estimator.n_features_in_
    low, high = np.full((p, k), -np.inf), np.full((p, k), np.inf)
    if given is None:
        return low, high
    if isinstance(given, Mapping):
        for feature, pair in given.items():
            low[number_of("coef_bounds", feature, estimator)], high[number_of("coef_bounds", feature, estimator)] = (
                pair_of(pair)
            )
        return low, high
    return tuple(end_of_each(side, p, k) for side in pair_of(given))


def pair_of(pair):
    """A low and a high end."""
    try:
        low, high = pair
    except (TypeError, ValueError):
        raise ValueError(f"{FORM}; got {pair!r}.") from None
    return low, high


def end_of_each(side, p, k):
    """One end of the bounds for each coefficient, (p, k), from a number, one for each feature, or coef_'s shape."""
    try:
        array = np.asarray(side, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{FORM}; got {side!r}.") from None
    if array.shape not in {(), (p,), (k, p)}:
        raise ValueError(f"{FORM}, of shape ({p},) or ({k}, {p}); got shape {array.shape}.")
    return np.array(np.broadcast_to(array, (k, p)).T)


def signs_of(estimator, k):
    """The sign that ``monotonic_cst`` asks of each feature's coefficient: -1, 0 for any, 1."""
    signs = by_feature("monotonic_cst", estimator.monotonic_cst, estimator, 0.0)
    strange = ~np.isin(signs, (-1, 0, 1))
    if strange.any():
        feature = called(estimator, int(strange.argmax()))
        raise ValueError(f"monotonic_cst must be -1, 0 or 1; it is {signs[strange][0]} for feature {feature}.")
    if k > 1:
        raise ValueError(
            f"monotonic_cst needs two classes, because it constrains one probability; y has {k}. Use coef_bounds."
        )
    return signs


def check(estimator, low, high, factors):
    """Raise a ValueError for bounds that no coefficient can meet."""
    wrong = ~(low <= high) | np.isposinf(low) | np.isneginf(high)  # nan, too
    if wrong.any():
        j, c = np.argwhere(wrong)[0]
        raise ValueError(
            f"coef_bounds must have low <= high; they are {low[j, c]} and {high[j, c]} for feature "
            f"{called(estimator, j)}."
        )
    if factors is not None:
        wrong = np.isinf(factors)[:, None] & ((low > 0) | (high < 0))
        if wrong.any():
            feature = called(estimator, np.argwhere(wrong)[0][0])
            raise ValueError(
                f"penalty_factor leaves out feature {feature}, but coef_bounds do not allow the coefficient 0 for it."
            )
