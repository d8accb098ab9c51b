"""What is fitted: a table of data sets, each loaded when its turn comes.

Real data stay on their raw scale. Synthetic features are an AR(0.95) sequence along the columns, which makes neighbours
strongly correlated; "raw" ones have their columns multiplied by 10 ** uniform(-3, 3).
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.signal import lfilter
from scipy.special import expit
from sklearn import datasets


class Problem(NamedTuple):
    """Data, penalty, and how close to the minimum of J a fit must come."""

    name: str
    X: np.ndarray
    y: np.ndarray  # codes 0 ... n_classes - 1
    C: float
    target: float
    absolute: bool  # whether the target bounds J - min J; otherwise (J - min J) / min J

    @property
    def n_classes(self):
        """How many classes."""
        return int(self.y.max()) + 1


class Source(NamedTuple):
    """A data set that is not loaded yet."""

    load: Callable[[], tuple[np.ndarray, np.ndarray]]
    kind: str  # "bundled", "folder" or "synthetic"
    target: float | None = None  # an absolute gap; None for the relative gap of the command line
    only: tuple[str, ...] = ()  # the methods to run, besides ours; () for all


BUNDLED = {
    "iris": datasets.load_iris,
    "wine": datasets.load_wine,
    "breast_cancer": datasets.load_breast_cancer,
    "digits": datasets.load_digits,
}
QUICK = ["iris", "breast_cancer", "phishing", "ar95_raw"]  # --quick, unless --only names others


def sources(folder, quick=False):
    """Every data set by name: bundled, then the dense ones of the folder from small to large, then synthetic.

    Parameters
    ----------
    folder : Path or None
        Holds ``name.npz`` files with arrays X and y. Files without X (CSR parts) are left out.
    quick : bool, default=False
        Whether the synthetic sets are small.

    Returns
    -------
    dict of str to Source
        In the order to run.
    """
    found = {name: Source(lambda load=load: load(return_X_y=True), "bundled") for name, load in BUNDLED.items()}
    if folder is not None:
        for path in sorted(Path(folder).glob("*.npz"), key=lambda path: path.stat().st_size):
            with np.load(path) as file:
                if "X" in file:
                    found[path.stem] = Source(lambda path=path: _read(path), "folder")
    rows, wide = (20_000, (5_000, 200)) if quick else (1_000_000, (200_000, 500))
    found["ar95"] = Source(lambda: autoregressive(rows, 100), "synthetic", 1e-8)
    found["ar95_raw"] = Source(lambda: autoregressive(rows, 100, raw=True), "synthetic", 1e-8)
    found["ar95_float32"] = Source(
        lambda: autoregressive(rows, 100, dtype=np.float32), "synthetic", 1e-5, ("lbfgs", "newton-cholesky")
    )
    found["ar95_wide"] = Source(lambda: autoregressive(*wide), "synthetic", 1e-8)
    return found


def autoregressive(n_samples, n_features, *, raw=False, dtype=np.float64, seed=0):
    """AR(0.95) features, and labels of a logistic model whose scores have standard deviation 2."""
    rng = np.random.default_rng(seed)
    X = np.empty((n_samples, n_features), dtype)
    for block in np.array_split(X, -(-n_samples // 50_000)):  # in blocks: X is the only large array
        block[:] = lfilter([np.sqrt(1 - 0.95**2)], [1, -0.95], rng.standard_normal(block.shape), axis=1)
    w = rng.standard_normal(n_features).astype(dtype)
    z = X @ w
    y = (rng.random(n_samples) < expit(2 * z / z.std())).astype(np.int64)
    if raw:
        X *= (10 ** rng.uniform(-3, 3, n_features)).astype(dtype)
    return X, y


def problem(name, source, C, relative_gap):
    """Load a data set as a Problem. X is read-only, so that no method can change it for the next one."""
    X, y = source.load()
    X = np.ascontiguousarray(X)
    X.flags.writeable = False
    y = np.unique(y, return_inverse=True)[1]
    return Problem(name, X, y, C, source.target or relative_gap, source.target is not None)


def _read(path):
    with np.load(path) as file:
        return file["X"].astype(np.float64), file["y"].astype(np.int64)
