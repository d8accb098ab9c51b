"""Data sets and parameters at the edges of what a fit may be asked for, as hypothesis draws them.

Hypothesis draws the structure (shapes, scales, offsets, what is constant, twice there or separable); the entries come
from small integers that it draws too, or from a normal distribution with a seed that it draws, so that what it reports
is as simple as the fault allows.
"""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from exact import Exact
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

LABELS = {
    "int": np.arange(4),
    "bool": np.array([False, True]),
    "negative": np.array([-7, -3, 0, 10**12]),
    "float": np.array([-2.0, 0.0, 1.0, 5.0]),
    "str": np.array(["a", "b", "bb", "c"]),
    "object": np.array(["a", "b", "bb", "c"], dtype=object),
}


class Problem(NamedTuple):
    """X (dense), class codes, weights, their labels, the number of classes; and the parameters of an estimator."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    labels: np.ndarray
    sparse: bool
    parameters: dict

    @property
    def data(self):
        """X, y and sample_weight, as fit takes them."""
        X = sp.csr_array(self.X) if self.sparse else self.X
        return X, self.labels[self.y], self.weight

    @property
    def weights(self):
        return np.ones(len(self.y)) if self.weight is None else self.weight

    @property
    def exact(self):
        """The same in extended precision."""
        C, l1_ratio, intercept = (self.parameters[name] for name in ("C", "l1_ratio", "fit_intercept"))
        return Exact.of(self.X, self.y, self.weights, len(self.labels), C, l1_ratio, intercept)


def exponents(largest):
    """Powers of ten."""
    return st.integers(-largest, largest).map(lambda e: 10.0**e)


@st.composite
def features(draw, n, p, reach):
    """X (n, p): each feature on its own scale, from its own offset; some constant, some there twice, as some rows."""
    if draw(st.booleans()):
        X = draw(arrays(float, (n, p), elements=st.integers(-3, 3).map(float)))
    else:
        X = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).standard_normal((n, p))
    some = st.integers(0, 2)
    for _ in range(draw(some)):
        X[:, draw(st.integers(0, p - 1))] = draw(st.sampled_from([0.0, 1.0, -3.0]))
    for _ in range(draw(some)):
        X[:, draw(st.integers(0, p - 1))] = X[:, draw(st.integers(0, p - 1))] * draw(st.sampled_from([1.0, -2.0]))
    for _ in range(draw(some)):
        X[draw(st.integers(0, n - 1))] = X[draw(st.integers(0, n - 1))]
    if draw(st.booleans()):
        X += [draw(st.sampled_from([0.0, 0.0, 1.0, 1e3, 1e6])) for _ in range(p)]
    return X * [draw(exponents(reach)) for _ in range(p)]


@st.composite
def codes(draw, X, n_classes):
    """Classes of the rows, each there: noise, or separable along a direction, but perhaps for a row or two."""
    n = len(X)
    if draw(st.booleans()):
        y = draw(arrays(int, n, elements=st.integers(0, n_classes - 1)))
        order = np.array(draw(st.permutations(range(n))))
    else:
        scale = np.abs(X).max(axis=0)
        score = X / np.where(scale > 0, scale, 1) @ draw(arrays(int, X.shape[1], elements=st.integers(-2, 2)))
        order = np.argsort(score, kind="stable")
        y = np.empty(n, dtype=int)
        y[order] = np.sort(draw(arrays(int, n, elements=st.integers(0, n_classes - 1))))
        for _ in range(draw(st.integers(0, 2))):
            y[draw(st.integers(0, n - 1))] = draw(st.integers(0, n_classes - 1))
    missing = np.setdiff1d(range(n_classes), y)
    y[order[: len(missing)]] = missing
    y[order[:n_classes]] = range(n_classes) if len(np.unique(y)) < n_classes else y[order[:n_classes]]
    return y


@st.composite
def weights(draw, y, largest):
    """None, small integers, or anything up to the largest, where that is not 0; each class has some."""
    kind = draw(st.sampled_from(["none", "counts", "any"] if largest else ["none", "counts"]))
    if kind == "none":
        return None
    elements = st.integers(0, 3) if kind == "counts" else st.just(0.0) | exponents(12).filter(lambda w: w <= largest)
    weight = draw(arrays(float, len(y), elements=elements.map(float)))
    for code in np.unique(y):
        if not weight[y == code].any():
            weight[np.flatnonzero(y == code)[0]] = 1
    return weight


@st.composite
def parameters(draw, solvers=("auto",), l1_ratios=(0.0, 0.5, 1.0)):
    """Of an estimator."""
    return {
        "solver": draw(st.sampled_from(solvers)),
        "C": draw(st.sampled_from([1.0, np.inf]) | exponents(12)),
        "l1_ratio": draw(st.sampled_from(l1_ratios)),
        "fit_intercept": draw(st.booleans()),
        "random_state": 0,
    }


@st.composite
def problems(
    draw, reach=150, max_rows=12, max_features=6, dtypes=(np.float64, np.float32), largest_weight=1e12, **settings
):
    """A Problem whose features' scales span 1e-reach to 1e+reach, in float32 no more than its squares can hold."""
    dtype = draw(st.sampled_from(dtypes))
    labels = LABELS[draw(st.sampled_from(sorted(LABELS)))]
    n_classes = draw(st.integers(2, min(4, len(labels))))
    n = draw(st.integers(n_classes, max_rows))
    p = draw(st.integers(1, max_features) | st.integers(1, 2 * max_rows))
    reach = min(draw(st.sampled_from([0, 3, 8, reach])), reach, 150 if dtype == np.float64 else 18)
    X = draw(features(n, p, reach)).astype(dtype)
    y = draw(codes(X.astype(float), n_classes))
    return Problem(
        X, y, draw(weights(y, largest_weight)), labels[:n_classes], draw(st.booleans()), draw(parameters(**settings))
    )
