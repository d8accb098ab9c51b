"""Predictions for Dask collections, lazy and of the same kind; and scores that are means over rows."""

from collections.abc import Callable
from functools import partial, wraps
from operator import add
from typing import Any, TypeVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..data.labels import codes_of
from ..data.on_dask import is_collection, lazily, parts_of

__all__ = ["also_lazy", "bare", "log_likelihoods", "mean_over_rows", "refuse_client", "refuse_collections"]

Method = TypeVar("Method", bound=Callable[..., Any])
KNOWN = ("n_features_in_", "feature_names_in_")  # attributes that checks of other rows need
FITTED = ("classes_", "coef_", "intercept_", "has_offset_")  # attributes that predictions need


def bare(estimator: Any) -> Any:
    """An estimator for other machines: with the attributes that checks and predictions need, and no others."""
    copied = type(estimator)()
    vars(copied).update({name: value for name, value in vars(estimator).items() if name in KNOWN + FITTED})
    return copied


def also_lazy(method: Method) -> Method:
    """The method, which predicts from X and an offset, made lazy for Dask collections."""

    @wraps(method)
    def predict(self, X, *, offset=None):
        if not is_collection(X, offset):
            return method(self, X, offset=offset)
        check_is_fitted(self)
        labels = None if method.__name__ == "predict" else self.classes_
        return lazily(partial(predicted, method.__name__, bare(self)), X, offset, labels)

    return predict  # type: ignore[return-value]


def predicted(name, model, X, offset):
    """The result of a model's method for some rows."""
    return getattr(model, name)(X, offset=offset)


def mean_over_rows(score, model, X, y, sample_weight=None, offset=None):
    """The mean of score(model, X, y, offset), a number for each row, over the rows of a collection."""
    arrays = {"X": X, "y": y, "sample_weight": sample_weight, "offset": offset}
    total, weight = parts_of(arrays).reduce(partial(scored, score, bare(model)), add)
    return float(total / weight)


def scored(score, model, given):
    """The weighted sum of the scores of a partition's rows, and the sum of the weights."""
    n_rows = np.shape(given.X)[0]
    if not n_rows:
        return 0.0, 0.0
    weight = np.ones(n_rows) if given.weight is None else np.asarray(given.weight, float)
    return float(weight @ score(model, given.X, np.asarray(given.y), given.offset)), float(weight.sum())


def log_likelihoods(model, X, y, offset):
    """The log-probability of each row's label, capped where scikit-learn's log_loss is."""
    probabilities = model.predict_proba(X)
    own = np.take_along_axis(probabilities, codes_of(model.classes_, y)[:, None].astype(int), axis=1)[:, 0]
    return np.log(np.maximum(own, np.finfo(probabilities.dtype).eps))


def refuse_collections(method: str, *values: Any) -> None:
    """Raise a TypeError for Dask collections if a method takes rows in memory only; NumPy would fetch all rows."""
    if is_collection(*values):
        raise TypeError(f"{method} needs rows in memory; got a Dask collection. fit takes Dask collections.")


def refuse_client(client: Any, *values: Any) -> None:
    """Raise a ValueError for a client where all values are in memory."""
    if client is not None and not is_collection(*values):
        raise ValueError(f"client must be None where X is in memory: it is for Dask collections; got {client!r}.")
