"""Dask's collections: made into Parts for a fit, and predicted lazily. Dask is imported where it is used."""

import sys
from functools import partial
from typing import Any

import numpy as np

from .dask_parts import DaskParts
from .parts import Given

__all__ = ["fetched", "is_collection", "is_frame", "lazily", "meta_of", "parts_of"]

NO_CLIENT = (
    "X is a Dask collection, which needs a cluster to be fitted on: start one, client = dask.distributed.Client(), or "
    "pass client=."
)


# --- What is a collection ---------------------------------------------------------------------------------------------


def is_collection(*values: Any) -> bool:
    """Whether Dask holds any of the values; it holds none as long as nobody has imported Dask."""
    return "dask" in sys.modules and any(map(is_held, values))


def is_held(value):
    """Whether a value is a Dask collection, a future, or a list of these."""
    if value is None or isinstance(value, np.ndarray):  # most are
        return False
    from dask import is_dask_collection

    if isinstance(value, list | tuple):
        return bool(value) and is_held(value[0])
    return is_dask_collection(value) or is_future(value)


def is_future(value):
    """Whether a value is a future of Dask's."""
    return "distributed" in sys.modules and isinstance(value, sys.modules["distributed"].Future)


def is_frame(value: Any) -> bool:
    """Whether a value is a DataFrame or a Series, Dask's or pandas'."""
    from dask.utils import is_dataframe_like, is_series_like

    return bool(is_dataframe_like(value) or is_series_like(value))


def is_array(value):
    """Whether a value is an array."""
    from dask.utils import is_arraylike

    return is_arraylike(value)


# --- To be fitted -----------------------------------------------------------------------------------------------------


def parts_of(arrays: dict[str, Any], client: Any = None) -> DaskParts:
    """Parts of Given, from collections by the names of the arguments: X, y, and perhaps weights and an offset.

    If X is a list of futures or delayed values, each is a tuple (X, y), (X, y, weight) or (X, y, weight, offset).
    """
    client = client_of(client)
    (first, X), *others = arrays.items()
    if isinstance(X, list | tuple) or is_future(X) or not (is_frame(X) or is_array(X)):
        for name, value in others:
            if value is not None:
                raise TypeError(
                    f"{name} must be None if X is a list of futures or delayed values, each a tuple (X, y, ...)."
                )
        return given_of(client, [futures_of(client, X, first)], packed)
    if is_frame(X):
        require_numbers(X)
    if others[0][1] is None:
        raise ValueError(f"{others[0][0]} must be given, in the same partitions as {first}.")
    lists = [futures_of(client, value, name) for name, value in arrays.items() if value is not None]
    names = [name for name, value in arrays.items() if value is not None]
    for name, futures in zip(names, lists, strict=True):
        if len(futures) != len(lists[0]):
            raise ValueError(
                f"{name} must have as many partitions as {first}, {len(lists[0])}; got {len(futures)}. Rechunk or "
                f"repartition {name}."
            )
    roles = [role for role, value in zip(Given._fields[1:], arrays.values(), strict=False) if value is not None]
    return given_of(client, lists, partial(named, roles))


def client_of(client):
    """The client given, or the one of this process."""
    from distributed import get_client

    if client is not None:
        return client
    try:
        return get_client()
    except ValueError:
        raise ValueError(NO_CLIENT) from None


def given_of(client, lists, f):
    """Parts of Given, which f makes from a number and a value of each list."""
    return DaskParts(client, client.map(f, range(len(lists[0])), *lists, key=DaskParts.name, pure=False))


def named(roles, number, *values):
    """A partition, from values in given roles."""
    return Given(number, **dict(zip(roles, values, strict=True)))


def packed(number, values):
    """A partition, from a tuple of values."""
    if not (isinstance(values, tuple | list) and len(values) in (2, 3, 4) and len(np.shape(values[0])) == 2):
        raise ValueError(
            f"X must be a list of futures or delayed values of (X, y), (X, y, weight) or (X, y, weight, offset); "
            f"number {number} is of type {type(values).__name__}."
        )
    return Given(number, *values)


def futures_of(client, collection, name):
    """A future of each block of rows."""
    if is_future(collection):
        return [collection]
    if isinstance(collection, list | tuple):
        return [value if is_future(value) else client.compute(value) for value in collection]
    if not is_held(collection):
        raise TypeError(
            f"{name} must be a Dask array or DataFrame in the same partitions as X; got {type(collection).__name__}. "
            "dask.array.from_array makes a Dask array from an array in memory."
        )
    if is_array(collection):
        require_whole_rows(collection, name)
    elif not is_frame(collection):  # a delayed value
        return [client.compute(collection)]
    return client.compute(np.ravel(collection.to_delayed()).tolist())


def fetched(values: Any, client: Any) -> Any:
    """The values of a collection, in memory; others as they are."""
    return client.compute(values).result() if is_held(values) else values


def require_whole_rows(array, name):
    """Raise a ValueError for an array with several chunks of columns."""
    if array.ndim == 2 and array.numblocks[1] != 1:
        raise ValueError(
            f"{name} must be in one chunk of columns; got {array.numblocks[1]}. Use {name}.rechunk({{1: -1}})."
        )


def meta_of(X: Any, parts: DaskParts) -> Any:
    """An X without rows, which has the features and their names."""
    if is_frame(X):
        return X.dtypes.to_frame().T.iloc[:0]
    if is_array(X):
        if X.ndim != 2 or np.isnan(X.shape[1]):
            raise ValueError(f"X must have two dimensions, and a known number of features; got shape {X.shape}.")
        return np.empty((0, X.shape[1]), X.dtype)
    (meta,) = parts.among(without_rows, {0: None})
    return meta


def without_rows(given, _):
    """The features of a partition, and their names, without a row."""
    return given.X[:0]


def require_numbers(X):
    """Raise a ValueError for columns that hold no numbers."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if X.ndim != 2:
        raise ValueError(f"X must be a DataFrame, with a column for each feature; got a {type(X).__name__}.")
    others = {name: kind for name, kind in X.dtypes.items() if not (is_numeric_dtype(kind) or is_bool_dtype(kind))}
    if others:
        shown = ", ".join(f"{name!r} ({kind})" for name, kind in others.items())
        raise ValueError(
            f"X must hold numbers; got the columns {shown}. Encode them with dask.dataframe.get_dummies, after "
            "X.categorize() for strings, or leave them out."
        )


# --- Predictions ------------------------------------------------------------------------------------------------------


def lazily(f: Any, X: Any, offset: Any = None, labels: Any = None) -> Any:
    """The lazy values f(rows, offset) for a collection's rows, in a collection of the same kind.

    An array gives an array. A DataFrame gives a Series, or a DataFrame with the ``labels`` as columns, with the same
    index. A list of futures or delayed values gives a list of delayed values. ``offset`` is None, a number, or a
    collection in the same partitions as X.
    """
    if is_array(X) and not is_frame(X):
        return array_of(f, X, offset)
    of_block = partial(framed if is_frame(X) else of_values, f, labels)
    if is_frame(X):
        require_numbers(X)
        meta = of_block(X.dtypes.to_frame().T.iloc[:0].astype(float), 0.0 if is_held(offset) else offset)
        return X.map_partitions(of_block, offset, meta=meta)
    from dask import delayed

    some = X if isinstance(X, list | tuple) else [X]
    return [delayed(of_block, pure=False)(value, offset) for value in some]


def array_of(f, X, offset):
    """The lazy array of f(rows, offset) for the rows of an array."""
    import dask.array as da

    require_whole_rows(X, "X")
    of_block = partial(of_rows, f)
    meta = of_block(np.empty((0, X.shape[1]), X.dtype), 0.0 if is_held(offset) else offset)
    axes, new_axes = ("i", {}) if meta.ndim == 1 else ("ij", {"j": meta.shape[1]})
    others = (offset, "i" if offset.ndim == 1 else "il") if is_held(offset) else (offset, None)
    how = {"concatenate": True, "align_arrays": False, "new_axes": new_axes, "meta": meta, "dtype": meta.dtype}
    return da.blockwise(of_block, axes, X, "ik", *others, **how)


def of_rows(f, X, offset):
    """The value f(rows, offset), also for no rows, which scikit-learn refuses."""
    if X.shape[0]:
        return f(X, offset)
    return f(np.zeros((1, X.shape[1]), X.dtype), 0.0 if np.ndim(offset) else offset)[:0]


def framed(f, labels, X, offset):
    """The value f(rows, offset) as a Series or a DataFrame with the index of X."""
    import pandas as pd

    given = X if len(X) else pd.DataFrame(0.0, index=[0], columns=X.columns)
    values = f(given, offset if len(X) or not np.ndim(offset) else 0.0)[: len(X)]
    if values.ndim == 1:
        return pd.Series(values, index=X.index, dtype=values.dtype)
    return pd.DataFrame(values, index=X.index, columns=labels)


def of_values(f, labels, values, offset):
    """The value f(rows, offset) for the content of a future or a delayed value: X, or a tuple that begins with X."""
    return of_rows(f, values[0] if isinstance(values, tuple | list) else values, offset)
