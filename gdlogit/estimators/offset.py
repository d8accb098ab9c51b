"""The offset: numbers that the user knows, which are added to the scores of the rows."""

from numbers import Real

import numpy as np

from .arrays import as_numbers

__all__ = ["as_columns", "check_offset", "check_width", "narrowed", "offset_of_prediction", "scores_of"]

MISSING = (
    "{name} is missing: this model was fitted with an offset, and its coefficients mean nothing without one. Pass "
    "{name}=... here, too, or {name}=0 for none. scikit-learn's scorers and cross_val_predict drop the offset; the "
    "method score takes it, and cross_validate passes it on to score by metadata routing."
)


def check_offset(offset, X, n_scores, name="offset"):
    """The offset of each of X's rows, shape (n, k); None for None. A number is added to all scores."""
    if offset is None:
        return None
    if isinstance(offset, Real) and not isinstance(offset, bool | np.bool_):
        offset = np.full((X.shape[0], n_scores), offset, dtype=float)
    columns = as_columns(offset, X, name)
    check_width(columns.shape[1], n_scores, name)
    return columns


def as_columns(offset, X, name="offset"):
    """An offset as columns with a row for each of X's rows, finite in X's precision; None for None."""
    if offset is None:
        return None
    offset = as_numbers(offset, name, allow_nd=True, ensure_all_finite=False)
    if offset.ndim not in (1, 2):
        raise ValueError(f"{name} must have shape (n,), or (n, n_classes); got shape {offset.shape}.")
    if len(offset) != X.shape[0]:
        raise ValueError(f"{name} must have a row for each of the {X.shape[0]} rows of X; got {len(offset)}.")
    columns = offset.reshape(len(offset), -1)
    dtype = np.float32 if X.dtype == np.float32 else np.float64
    is_finite = np.abs(columns) <= np.finfo(dtype).max
    if not is_finite.all():
        raise ValueError(f"{name} must be finite in {dtype.__name__}; it has {columns[~is_finite][0]}.")
    return columns


def scores_of(classes):
    """How many scores a row has: one for two classes, otherwise one for each class."""
    return 1 if len(classes) == 2 else len(classes)


def narrowed(offset, columns):
    """The offset of the classes that have a column; None for None."""
    return None if offset is None else columns.narrow(offset)


def check_width(width, n_scores, name="offset"):
    """Raise a ValueError if an offset of ``width`` columns does not fit ``n_scores`` scores."""
    if width == n_scores:
        return
    if n_scores == 1:
        raise ValueError(
            f"{name} must have shape (n,) for two classes, in log-odds of the second; got {width} columns. If you have "
            "a number for each class, pass the second less the first."
        )
    raise ValueError(
        f"{name} must have shape (n, {n_scores}) for {n_scores} classes, because a number that is added to all scores "
        f"of a softmax changes nothing; got {width} column{'s' * (width != 1)}."
    )


def offset_of_prediction(estimator, offset, X, n_scores, name="offset"):
    """The offset of rows to predict; a ValueError if there is none and the model was fitted with one."""
    if offset is None and getattr(estimator, "has_offset_", False):
        raise ValueError(MISSING.format(name=name))
    return check_offset(offset, X, n_scores, name)
