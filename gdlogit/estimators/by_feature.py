"""Parameters with a value for each feature: an array, or a dict by the features' names or numbers."""

from collections.abc import Mapping
from numbers import Integral

import numpy as np

from .arrays import as_numbers

__all__ = ["by_feature", "penalty_factors"]


def penalty_factors(estimator):
    """The penalty factor of each feature that the estimator has seen; None where all are 1."""
    given = estimator.penalty_factor
    if given is None:
        return None
    factors = by_feature("penalty_factor", given, estimator, 1.0)
    wrong = ~(factors >= 0)  # nan, too
    if wrong.any():
        of_feature = called(estimator, int(wrong.argmax()))
        raise ValueError(f"penalty_factor must not be negative; it is {factors[wrong][0]} for feature {of_feature}.")
    return None if (factors == 1).all() else factors


def by_feature(name, given, estimator, default):
    """A number for each of the estimator's features, from an array or a dict; others have a default."""
    if isinstance(given, Mapping):
        values = np.full(estimator.n_features_in_, default, dtype=float)
        for feature, value in given.items():
            values[number_of(name, feature, estimator)] = number(name, feature, value)
        return values
    values = None if np.isscalar(given) else as_numbers(given, name, ensure_all_finite=False)
    if values is None or values.shape != (estimator.n_features_in_,):
        raise ValueError(
            f"{name} must have one number for each of the {estimator.n_features_in_} features of X, or be a dict of "
            f"features and numbers; got {given!r}."
        )
    return values


def number_of(name, feature, estimator):
    """The number, from 0, of a feature that is given by its name or by its number."""
    names = getattr(estimator, "feature_names_in_", None)
    if isinstance(feature, Integral) and not isinstance(feature, bool | np.bool_):
        if 0 <= feature < estimator.n_features_in_:
            return feature
    elif names is not None:
        found = np.flatnonzero(names == feature)
        if len(found):
            return found[0]
    known = f"{estimator.n_features_in_} features without names, numbered from 0" if names is None else f"{[*names]}"
    raise ValueError(f"{name} must name features of X; got {feature!r}, and X has {known}.")


def number(name, feature, value):
    """The value given for a feature, as a float."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must have a number for each feature; it has {value!r} for {feature!r}.") from None


def called(estimator, feature):
    """How a message calls a feature: by its name, or by its number where features have no names."""
    names = getattr(estimator, "feature_names_in_", None)
    return repr(str(names[feature])) if names is not None else feature
