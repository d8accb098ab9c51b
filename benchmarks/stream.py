"""One pass of partial_fit over shuffled raw data: ``python -m benchmarks.stream --data FOLDER``.

Prints how far the mean training loss ends above that of the minimum of J at C = 1, ours on raw data and
``SGDClassifier(loss="log_loss")`` on standardised data (it is told the means and deviations of all rows beforehand).
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from gdlogit import GDLogisticRegression

from .__main__ import SHARED
from .data import autoregressive, sources

BATCHES = {
    **dict.fromkeys(["bank_full", "adult", "telco", "credit_default", "spambase"], (100, 1000)),
    **dict.fromkeys(["letter", "covtype20k"], (500, 2000)),
}


def one_pass(model, X, y, size):
    """Rows per second."""
    classes = np.unique(y)
    start = time.perf_counter()
    for first in range(0, len(y), size):
        model.partial_fit(X[first : first + size], y[first : first + size], classes=classes)
    return len(y) / (time.perf_counter() - start)


def main(folder):
    """Print the table."""
    warnings.simplefilter("ignore")
    found = sources(folder)
    print(f"{'data':16}{'batch':>7}{'seed':>5}{'ours':>11}{'SGD, scaled':>13}{'rows/s':>10}{'SGD rows/s':>12}")
    for name, sizes in BATCHES.items():
        X, y = found[name].load()
        optimum = GDLogisticRegression(tol=1e-12, random_state=0).fit(X, y)
        least = log_loss(y, optimum.predict_proba(X))
        for size in sizes:
            for seed in range(3):
                order = np.random.default_rng(seed).permutation(len(y))
                raw, scaled = X[order], StandardScaler().fit_transform(X[order])
                ours, sgd = GDLogisticRegression(), SGDClassifier(loss="log_loss", random_state=seed)
                speed, sgd_speed = one_pass(ours, raw, y[order], size), one_pass(sgd, scaled, y[order], size)
                excess = log_loss(y[order], ours.predict_proba(raw)) - least
                sgd_excess = log_loss(y[order], sgd.predict_proba(scaled)) - least
                print(
                    f"{name:16}{size:7}{seed:5}{excess:11.1e}{sgd_excess:13.1e}{speed:10.0f}{sgd_speed:12.0f}",
                    flush=True,
                )
    X, y = autoregressive(500_000, 50, raw=True)
    speeds = [one_pass(GDLogisticRegression(), X, y, 1000) for _ in range(3)]
    print(f"ar95_raw, p = 50, batches of 1,000: {sorted(speeds)[1]:.0f} rows/s, the median of 3")


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks.stream", description=__doc__)
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of .npz files")
    main(parser.parse_args().data)
