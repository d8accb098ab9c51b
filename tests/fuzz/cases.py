"""A case: a problem drawn from a seed, as data scientists bring them, in one of the forms that ``fit`` takes.

Shrinking keeps the first rows and columns of the same data; the first rows hold every class, with a positive weight.
"""

import tempfile
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.special import softmax

DENSE = ["ndarray", "fortran", "strided", "pandas", "polars", "memmap", "batches"]
SPARSE = ["csr_array", "csr_matrix", "csc_array", "csc_matrix", "coo_array", "int64 csr", "unsorted csr", "csr batches"]
LABELS = ["integers", "strings", "floats", "objects", "booleans"]
COLUMNS = ["normal", "offset", "heavy", "flag", "one-hot", "count", "word", "constant", "zero", "copy", "sum"]


class Case(NamedTuple):
    """What is drawn, but for the numbers; ``parameters`` are those of the estimator."""

    seed: int
    rows: int  # that are kept, of n_rows
    columns: int
    n_rows: int
    n_features: int
    n_classes: int
    kinds: tuple  # of the columns
    decades: int  # that the columns' scales span, up and down
    repeated: bool  # every row is there some four times
    signal: float  # of the scores over the noise: from 0, chance, to separable classes
    imbalance: float  # how much more likely each class is than the next, as a logarithm
    weights: str
    labels: str
    dtype: str
    form: str
    read_only: bool
    parameters: dict  # class_weight is by code


class Data(NamedTuple):
    """X as float64 of the values that the form's dtype has; y and weight as they are given to ``fit``."""

    X: np.ndarray
    codes: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None


def draw(seed):
    """The case of a seed."""
    rng = np.random.default_rng(seed)

    def one(*choices):
        return choices[rng.integers(len(choices))]

    def power(low, high):
        return float(10 ** rng.uniform(low, high))

    n_classes = one(2, 2, 2, 3, 4, 8)
    n_rows = max(n_classes, int(power(0.5, one(2, 3, 3.7))))
    n_features = int(power(0, one(1, 1.5, 2, 2.7)))
    if n_rows * n_features * n_classes > 500_000:
        n_features = max(1, 500_000 // (n_rows * n_classes))
    solver = one("auto", "auto", "auto", "auto", "newton-sketch", "gd", "nesterov", "sgd")
    textbook = solver not in ("auto", "newton-sketch")
    class_weight = one(None, None, None, "balanced", {code: power(-1, 1) for code in range(n_classes)})
    form = one(*DENSE, *SPARSE)
    batches = "batches" in form
    parameters = {
        "solver": "auto" if batches and solver == "sgd" else solver,
        "C": one(power(-4, 1), power(-2, 3), power(0, 6), np.inf),
        "l1_ratio": one(0.0, 0.0, 0.0, 1.0, 0.5, float(rng.uniform())),
        "fit_intercept": one(True, True, True, False),
        "class_weight": class_weight,
        "max_iter": one(1, 3, 50, 200) if textbook else one(2, 1000, 1000, 1000, 1000, 1000),
        "tol": one(1e-8, 1e-8, 1e-8, 1e-4, 1e-12),
        "batch_size": one(1 if n_rows < 100 else 32, 32, 256),
        "learning_rate": one("auto", "auto", "auto", 0.1, 10.0),
        "early_stopping": one(False, False, False, False, False, True) and not batches,
        "random_state": int(rng.integers(100)),
    }
    return Case(
        seed,
        n_rows,
        n_features,
        n_rows,
        n_features,
        n_classes,
        kinds=tuple(str(kind) for kind in rng.choice(COLUMNS, rng.integers(1, 5), replace=False)),
        decades=one(0, 0, 2, 4, 8),
        repeated=one(False, False, False, True),
        signal=one(0.0, 1.0, 1.0, 3.0, 30.0, 1e6),
        imbalance=one(0.0, 0.0, 0.0, 1.0, 4.0),
        weights=one("none", "none", "counts", "heavy", "tiny", "huge"),
        labels=one(*LABELS) if n_classes == 2 else one(*LABELS[:-1]),
        dtype=one("float64", "float64", "float64", "float32", "int64", "int8"),
        form=form,
        read_only=one(False, True),
        parameters=parameters,
    )


def data(case):
    """The numbers."""
    rng = np.random.default_rng([case.seed, 1])
    n, k = case.n_rows, case.n_classes
    X = columns(case, rng)
    spread = X.std(axis=0)
    scores = ((X - X.mean(axis=0)) / np.where(spread > 0, spread, 1)) @ rng.standard_normal((case.n_features, k))
    scores *= case.signal / np.sqrt(case.n_features)
    scores -= case.imbalance * np.arange(k)
    codes = (softmax(scores, axis=1).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=k - 1)
    codes[:k] = np.arange(k)
    X *= 10 ** rng.uniform(-case.decades, case.decades, case.n_features)
    weight = {
        "none": None,
        "counts": rng.integers(0, 4, n).astype(float),
        "heavy": np.exp(2 * rng.standard_normal(n)),
        "tiny": np.full(n, 1e-6),
        "huge": rng.uniform(0, 1e8, n),
    }[case.weights]
    if weight is not None:
        weight[:k] = np.maximum(weight[:k], weight[weight > 0].min(initial=1))
    labels = {
        "integers": np.arange(k) * 3 - 1,
        "strings": np.array(["a", "b b", "", "d", "é", "f", "longer than the others", "h"][:k]),
        "floats": np.arange(k) - 1.0,
        "objects": np.array(["x", "y", "z", "u", "v", "w", "s", "t"][:k], dtype=object),
        "booleans": np.array([False, True]),
    }[case.labels]
    labels = np.sort(labels)
    keep = slice(case.rows), slice(case.columns)
    X = np.ascontiguousarray(X[keep])
    if case.dtype.startswith("int"):
        X = X.round().clip(-100, 100)
    X = X.astype(case.dtype).astype(float)
    return Data(X, codes[keep[0]], labels[codes[keep[0]]], None if weight is None else weight[keep[0]])


def columns(case, rng):
    """X of shape (n_rows, n_features), before it is scaled."""
    n, p = case.n_rows, case.n_features
    X = np.zeros((n, p))
    category = rng.integers(max(2, p), size=n)
    for j, kind in enumerate(rng.choice(case.kinds, p)):
        before = X[:, rng.integers(max(1, j), size=2)]
        X[:, j] = {
            "normal": lambda: rng.standard_normal(n),
            "offset": lambda: rng.standard_normal(n) + 10 ** rng.uniform(1, 5),
            "heavy": lambda: rng.standard_t(1.2, n).clip(-1e6, 1e6),
            "flag": lambda: rng.random(n) < 10 ** rng.uniform(-3, -0.3),
            "one-hot": lambda j=j: category == j,
            "count": lambda: rng.poisson(2, n),
            "word": lambda j=j: rng.exponential(size=n) * (rng.random(n) < 1 / (2 + j)),
            "constant": lambda: 1.0 + rng.integers(3),
            "zero": lambda: 0.0,
            "copy": lambda before=before: before[:, 0],
            "sum": lambda before=before: before.sum(axis=1),
        }[str(kind)]()
    return X[rng.integers(-(-n // 4), size=n)] if case.repeated else X


def in_form(case, X):
    """X in the case's form; sparse ones hold the nonzeros of X. Of batches, a plain array: see ``batches``."""
    X = X.astype(case.dtype)
    match case.form.removesuffix(" batches"):
        case "fortran":
            X = np.asfortranarray(X)
        case "strided":
            wide = np.zeros((len(X), 2 * X.shape[1]), dtype=X.dtype)
            wide[:, ::2] = X
            X = wide[:, ::2]
        case "pandas":
            import pandas as pd

            return pd.DataFrame(X, columns=[f"x{j}" for j in range(X.shape[1])])
        case "polars":
            import polars as pl

            return pl.DataFrame(X, schema=[f"x{j}" for j in range(X.shape[1])])
        case "memmap":
            return memory_map(X)
        case "int64 csr" | "unsorted csr" | "csr":
            X = other_csr(X, case.form)
        case name if name in SPARSE:
            X = getattr(sp, name)(X)
    if case.read_only:
        for array in [X] if isinstance(X, np.ndarray) else [X.data, *([X.indices] if hasattr(X, "indices") else [])]:
            array.flags.writeable = False
    return X


def memory_map(X):
    """X in a file, which goes when the map does."""
    with tempfile.TemporaryFile() as file:
        X.tofile(file)
        return np.memmap(file, X.dtype, "r", shape=X.shape)


def other_csr(X, form):
    """A CSR with 64-bit indices, or with each row's entries in reverse."""
    X = sp.csr_array(X)
    if form == "int64 csr":
        X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    elif form == "unsorted csr":
        turned = np.concatenate([np.arange(stop - 1, start - 1, -1) for start, stop in pairwise(X.indptr)])
        X = sp.csr_array((X.data[turned], X.indices[turned], X.indptr), shape=X.shape)
    return X


def batches(X, *others, n_batches=3):
    """Tuples of some rows of each."""
    bounds = [i * len(others[0]) // n_batches for i in range(n_batches + 1)]
    return [
        (X[i:j], *(None if other is None else other[i:j] for other in others)) for i, j in pairwise(bounds) if i < j
    ]
