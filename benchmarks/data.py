"""What is fitted: a table of data sets, each loaded when its turn comes, and the suites of problems that they make.

Real data stay on their raw scale. Dense synthetic features are an AR(0.95) sequence along the columns, which makes
neighbours strongly correlated; "raw" ones have their columns multiplied by 10 ** uniform(-3, 3). Synthetic text is the
tf-idf of words drawn by Zipf's law. Synthetic embeddings are clusters, one a class, mixed so that features correlate,
and far from 0. Synthetic one-hot tables have raw amounts beside the levels of their categories.
Synthetic click logs have a few of very many hashed flags in each row, and few positives.
"""

from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.signal import lfilter
from scipy.sparse import csr_array, issparse
from scipy.special import expit
from sklearn import datasets
from sklearn.feature_extraction.text import TfidfTransformer


class Problem(NamedTuple):
    """Data, penalty, and how close to the minimum of J a fit must come."""

    name: str
    X: np.ndarray | csr_array
    y: np.ndarray  # codes 0 ... n_classes - 1
    C: float
    l1_ratio: float
    target: float
    absolute: bool  # whether the target bounds J - min J; otherwise (J - min J) / min J

    @property
    def n_classes(self):
        """How many classes."""
        return int(self.y.max()) + 1

    @property
    def nbytes(self):
        """The bytes of X; of CSR with its indices."""
        return sum(part.nbytes for part in _parts(self.X))


class Case(NamedTuple):
    """A problem by name."""

    data: str
    C: float = 1.0
    l1_ratio: float = 0.0


class Source(NamedTuple):
    """A data set that is not loaded yet."""

    load: Callable[[], tuple[np.ndarray | csr_array, np.ndarray]]
    kind: str  # "bundled", "folder" or "synthetic"
    sparse: bool = False
    target: float | None = None  # an absolute gap; None for the relative gap of the command line
    only: tuple[str, ...] = ()  # the methods to run, besides ours; () for all


BUNDLED = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}
STATSMODELS = {  # the data frame, and the column that is the label
    "fair": ("fair", lambda data: data["affairs"] > 0),
    "anes96": ("anes96", lambda data: data["PID"]),
}
QUICK = ["iris", "breast_cancer", "phishing", "ar95_raw"]  # --quick, unless --only names others
SUITES = {
    "sparse": [
        *(Case(name, 0.01, 1.0) for name in ("l1_ar95", "l1_independent")),
        *(Case(*case) for case in product(("adult", "bank_full", "covtype20k"), (0.1, 1.0), (1.0,))),
        *(Case(*case) for case in product(("sms", "clickbait"), (0.1, 1.0, 10.0, 100.0), (0.0, 1.0))),
        *(Case("text", C, ratio) for C, ratio in ((1.0, 0.0), (100.0, 0.0), (1.0, 1.0))),
        *(Case(*case) for case in product(("a9a", "agaricus"), (1.0, 1e3, 1e5))),
    ],
    "wide": [
        Case("mnist20k"),
        *(Case(f"embeddings_{k}", C) for k, C in product((2, 10, 100), (0.01, 1.0))),
        *(Case(f"embeddings_{k}_far", C) for k, C in product((2, 10, 100), (0.01, 1.0))),
        Case("embeddings_1000"),
        *(Case(f"softmax_{k}") for k in (2, 5, 20, 100)),
        Case("noise"),
        *(Case(*case) for case in product(("one_hot", "one_hot_dense"), (1.0, 100.0))),
        Case("clicks"),
        *(Case(*case) for case in product(("letter", "covtype20k", "digits"), (1.0,))),
    ],
}


def sources(folder, quick=False):
    """Every data set by name: bundled, then those of the folder from small to large, then synthetic.

    Parameters
    ----------
    folder : Path or None
        Holds ``name.npz`` files with arrays X and y, or data, indices, indptr, shape and y for CSR.
    quick : bool, default=False
        Whether the synthetic sets are small.

    Returns
    -------
    dict of str to Source
        In the order to run.
    """
    found = {name: Source(lambda load=load: load(return_X_y=True), "bundled") for name, load in BUNDLED.items()}
    if find_spec("statsmodels"):
        found |= {name: Source(lambda name=name: _of_statsmodels(name), "bundled") for name in STATSMODELS}
    if folder is not None:
        for path in sorted(Path(folder).glob("*.npz"), key=lambda path: path.stat().st_size):
            with np.load(path) as file:
                found[path.stem] = Source(lambda path=path: _read(path), "folder", sparse="indptr" in file)
    rows, wide, flat, words = (
        (20_000, (5_000, 200), 20_000, 5_000) if quick else (1_000_000, (200_000, 500), 200_000, 50_000)
    )
    found |= {
        "ar95": Source(lambda: autoregressive(rows, 100), "synthetic", target=1e-8),
        "ar95_raw": Source(lambda: autoregressive(rows, 100, raw=True), "synthetic", target=1e-8),
        "ar95_float32": Source(
            lambda: autoregressive(rows, 100, dtype=np.float32),
            "synthetic",
            target=1e-5,
            only=("lbfgs", "newton-cholesky"),
        ),
        "ar95_wide": Source(lambda: autoregressive(*wide), "synthetic", target=1e-8),
        "l1_ar95": Source(lambda: autoregressive(flat, 200, density=0.1), "synthetic", target=1e-6),
        "l1_independent": Source(
            lambda: autoregressive(flat, 200, density=0.1, correlation=0.0), "synthetic", target=1e-6
        ),
        "text": Source(lambda: text(words, words), "synthetic", sparse=True, target=1e-6),
    }
    many, wide = (2_000, 100) if quick else (50_000, 768)
    for k in (2, 10, 100):
        found[f"embeddings_{k}"] = Source(lambda k=k: embeddings(many, wide, k), "synthetic")
        found[f"embeddings_{k}_far"] = Source(lambda k=k: embeddings(many, wide, k, distance=2.0), "synthetic")
    found["embeddings_1000"] = Source(lambda: embeddings(many // 5 * 2, wide, 1000), "synthetic")
    for k in (2, 5, 20, 100):
        found[f"softmax_{k}"] = Source(lambda k=k: softmax(many // 5 * 2, 60, k), "synthetic")
    found["one_hot"] = Source(lambda: one_hot(2 * many, many // 20), "synthetic", sparse=True)
    found["one_hot_dense"] = Source(lambda: one_hot(2 * many, many // 20, dense=True), "synthetic")
    found["clicks"] = Source(lambda: clicks(20 * many, 2**12 if quick else 2**18), "synthetic", sparse=True)
    found["noise"] = Source(lambda: softmax(many // 5 * 2, 2 * many // 50, 2, size=0.0), "synthetic")
    return found


def embeddings(n_samples, n_features, n_classes, *, distance=0.5, dtype=np.float32, seed=0):
    """Clusters, one a class, in features that are correlated and far from 0: so far apart that they overlap, or do not.

    ``distance`` is that of the classes' centres in units of the clusters' spread, for the direction between two of them
    and 100 features; in 768 dimensions 0.5 overlaps where there are many classes, and 2 nearly separates.
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n_samples)
    spectrum = 1 / np.sqrt(1 + np.arange(n_features) / 10)
    mixing = (spectrum[:, None] * rng.standard_normal((n_features, n_features)) / np.sqrt(n_features)).astype(dtype)
    centres = distance * rng.standard_normal((n_classes, n_features)) * np.sqrt(50 / n_features)
    offset = rng.standard_normal(n_features)
    X = np.empty((n_samples, n_features), dtype)
    for rows in np.array_split(np.arange(n_samples), -(-n_samples // 10_000)):
        noise = rng.standard_normal((len(rows), n_features), dtype=np.float32)
        X[rows] = (centres[y[rows]] + noise).astype(dtype) @ mixing + offset.astype(dtype)
    return X, y


def softmax(n_samples, n_features, n_classes, *, size=2.0, seed=0):
    """Independent normal features, and labels of a softmax whose scores have the standard deviation ``size``."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features))
    z = X @ rng.standard_normal((n_features, n_classes)) * (size / np.sqrt(n_features))
    return X, np.unique((z + rng.gumbel(size=z.shape)).argmax(axis=1), return_inverse=True)[1]


def one_hot(n_samples, n_features, *, n_columns=40, n_raw=10, dense=False, seed=0):
    """A raw table: one-hot levels of categories, drawn by Zipf's law, and ``n_raw`` lognormal columns in raw units.

    A category has between a half and twice the mean number of levels. A CSR, or float32 and ``dense``.
    """
    rng = np.random.default_rng(seed)
    ends = np.cumsum(rng.uniform(0.5, 2.0, n_columns))
    ends = np.r_[0, np.round(ends / ends[-1] * (n_features - n_raw)).astype(int)]
    levels = np.empty((n_samples, n_columns), np.int32)
    for column, (start, end) in enumerate(pairwise(ends)):
        share = np.cumsum(1 / np.arange(1, end - start + 1))
        levels[:, column] = start + np.searchsorted(share, rng.random(n_samples) * share[-1])
    raw = np.exp(rng.standard_normal((n_samples, n_raw)))
    indices = np.hstack([levels, np.tile(np.arange(ends[-1], n_features, dtype=np.int32), (n_samples, 1))])
    values = np.hstack([np.ones(levels.shape), raw])
    starts = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    X = csr_array((values.ravel(), indices.ravel(), starts), shape=(n_samples, n_features))
    y = _labels(X, 1.0, rng)
    X.data.reshape(values.shape)[:, n_columns:] *= 10 ** rng.uniform(-2, 4, n_raw)
    return (X.toarray().astype(np.float32) if dense else X), y


def clicks(n_samples, n_features, *, n_flags=30, positives=0.03, seed=0):
    """A float32 CSR of ``n_flags`` hashed flags a row, added up where two meet, and rare positives.

    The first j of p hashes have (j / p)^(1/4) of all flags.
    """
    rng = np.random.default_rng(seed)
    flags = (n_features * rng.random((n_samples, n_flags)) ** 4).astype(np.int32)
    starts = np.arange(0, flags.size + 1, n_flags, dtype=np.int32)
    X = csr_array((np.ones(flags.size, np.float32), flags.ravel(), starts), shape=(n_samples, n_features))
    X.sum_duplicates()
    z = X @ (0.4 * rng.standard_normal(n_features))
    intercept = brentq(lambda b: expit(z + b).mean() - positives, -30, 10)
    return X, (rng.random(n_samples) < expit(z + intercept)).astype(np.int64)


def autoregressive(n_samples, n_features, *, raw=False, density=1.0, correlation=0.95, dtype=np.float64, seed=0):
    """AR features, and labels of a logistic model whose scores have standard deviation 2.

    ``density`` is the share of the features that the model uses.
    """
    rng = np.random.default_rng(seed)
    X = np.empty((n_samples, n_features), dtype)
    for block in np.array_split(X, -(-n_samples // 50_000)):  # in blocks: X is the only large array
        noise = rng.standard_normal(block.shape)
        block[:] = lfilter([np.sqrt(1 - correlation**2)], [1, -correlation], noise, axis=1)
    y = _labels(X, density, rng)
    if raw:
        X *= (10 ** rng.uniform(-3, 3, n_features)).astype(dtype)
    return X, y


def text(n_samples, n_features, *, nonzeros=80, density=0.1, seed=0):
    """Tf-idf of words drawn by Zipf's law, in CSR with so many nonzeros a row on average; labels as above."""
    rng = np.random.default_rng(seed)
    share = 1 / np.arange(1, n_features + 1)
    share /= share.sum()
    lengths = np.geomspace(nonzeros, 100 * nonzeros, 200)
    distinct = [np.sum(-np.expm1(length * np.log1p(-share))) for length in lengths]  # expected, of so many words
    length = round(np.interp(nonzeros, distinct, lengths))
    words = np.searchsorted(np.cumsum(share)[:-1], rng.random(n_samples * length))
    starts = np.arange(0, words.size + 1, length, dtype=np.int32)
    counts = csr_array((np.ones(words.size), words.astype(np.int32), starts), shape=(n_samples, n_features))
    counts.sum_duplicates()
    X = csr_array(TfidfTransformer(sublinear_tf=True).fit_transform(counts))
    return X, _labels(X, density, rng)


def _labels(X, density, rng):
    w = rng.standard_normal(X.shape[1]).astype(X.dtype)
    if density < 1:
        w[rng.random(len(w)) >= density] = 0
    z = X @ w
    return (rng.random(len(z)) < expit(2 * z / z.std())).astype(np.int64)


def problem(case, source, relative_gap):
    """Load a data set as a Problem. X is read-only, so that no method can change it for the next one."""
    X, y = source.load()
    X = csr_array(X) if issparse(X) else np.ascontiguousarray(X)
    for part in _parts(X):
        part.flags.writeable = False
    y = np.unique(y, return_inverse=True)[1]
    return Problem(case.data, X, y, case.C, case.l1_ratio, source.target or relative_gap, source.target is not None)


def _parts(X):
    return (X.data, X.indices, X.indptr) if issparse(X) else (X,)


def _of_statsmodels(name):
    import statsmodels.api as sm

    module, label = STATSMODELS[name]
    data = getattr(sm.datasets, module).load_pandas()
    return data.exog.to_numpy(float), label(data.data).to_numpy()


def _read(path):
    with np.load(path) as file:
        y = file["y"].astype(np.int64)
        if "X" in file:
            return file["X"].astype(np.float64), y
        return csr_array((file["data"].astype(np.float64), file["indices"], file["indptr"]), shape=file["shape"]), y
