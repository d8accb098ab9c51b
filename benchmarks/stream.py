"""partial_fit beside ``SGDClassifier(loss="log_loss")``: ``python -m benchmarks.stream [TABLE ...] --data FOLDER``.

raw     One pass over shuffled raw data: how far the mean training loss ends above that of the minimum of J at C = 1.
        SGDClassifier gets standardised data, and is told the means and deviations of all rows beforehand.
text    One pass over text, as tf-idf and hashed: the mean loss of the batches before they are learned from. Ours at a
        few C, and the best of SGDClassifier over its schedules and eta0 in 1e-3 ... 10, which nobody knows beforehand.
hashed  Batches of 1,000 documents of 100 words, hashed to 2^20 features: the time of a batch, and the most memory.
rows    One row at a time: the time of a row, while up to 1,000 rows wait.

Times are wall times, taken in turns with SGDClassifier's on the same rows, and medians.
"""

import argparse
import time
import tracemalloc
import warnings
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
from scipy.special import expit
from sklearn.feature_extraction.text import HashingVectorizer
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
SCHEDULES = [*product(("constant", "invscaling"), 10.0 ** np.arange(-3, 2)), ("optimal", 1.0)]


def batches(X, y, size):
    """The rows, some at a time."""
    for first in range(0, len(y), size):
        yield X[first : first + size], y[first : first + size]


def one_pass(model, X, y, size):
    """Rows per second."""
    classes = np.unique(y)
    start = time.perf_counter()
    for some, labels in batches(X, y, size):
        model.partial_fit(some, labels, classes=classes)
    return len(y) / (time.perf_counter() - start)


def raw(folder):
    """Print the table of raw data."""
    found = sources(folder)
    print(f"{'data':16}{'batch':>7}{'seed':>5}{'ours':>11}{'SGD, scaled':>13}{'rows/s':>10}{'SGD rows/s':>12}")
    for name, sizes in BATCHES.items():
        X, y = found[name].load()
        optimum = GDLogisticRegression(tol=1e-12, random_state=0).fit(X, y)
        least = log_loss(y, optimum.predict_proba(X))
        for size, seed in product(sizes, range(3)):
            order = np.random.default_rng(seed).permutation(len(y))
            given, scaled = X[order], StandardScaler().fit_transform(X[order])
            ours, sgd = GDLogisticRegression(), SGDClassifier(loss="log_loss", random_state=seed)
            speed, sgd_speed = one_pass(ours, given, y[order], size), one_pass(sgd, scaled, y[order], size)
            excess = log_loss(y[order], ours.predict_proba(given)) - least
            sgd_excess = log_loss(y[order], sgd.predict_proba(scaled)) - least
            line = f"{name:16}{size:7}{seed:5}{excess:11.1e}{sgd_excess:13.1e}{speed:10.0f}{sgd_speed:12.0f}"
            print(line, flush=True)
    X, y = autoregressive(500_000, 50, raw=True)
    speeds = [one_pass(GDLogisticRegression(), X, y, 1000) for _ in range(3)]
    print(f"ar95_raw, p = 50, batches of 1,000: {sorted(speeds)[1]:.0f} rows/s, the median of 3")


def progressive_loss(model, X, y, size):
    """The mean loss of the batches before they are learned from; nothing is known before the first."""
    total, classes = np.log(2) * size, np.unique(y)
    for some, labels in batches(X, y, size):
        if hasattr(model, "coef_"):
            total += log_loss(labels, model.predict_proba(some), labels=classes) * len(labels)
        model.partial_fit(some, labels, classes=classes)
    return total / len(y)


def peer(schedule, eta0):
    """SGDClassifier with a schedule of rates."""
    return SGDClassifier(loss="log_loss", learning_rate=schedule, eta0=eta0, random_state=0)


def hashed_words(X):
    """The documents of a tf-idf again, each word once, as HashingVectorizer makes them."""
    documents = (" ".join(f"w{word}" for word in row) for row in np.split(X.indices, X.indptr[1:-1]))
    return HashingVectorizer(n_features=2**18).transform(documents)


def text(folder):
    """Print the table of text."""
    found, columns = sources(folder), (1, 10, 100, 1000)
    print(f"{'data':12}{'form':8}{'batch':>6}{'best SGD':>10}  {'by':20}" + "".join(f"{f'C={C}':>9}" for C in columns))
    for name in ("sms", "clickbait"):
        X, y = found[name].load()
        order = np.random.default_rng(0).permutation(len(y))
        for form, make in (("tf-idf", lambda X: X), ("hashed", hashed_words)):
            shuffled = make(X)[order]
            for size in (100, 1000):
                loss = partial(progressive_loss, X=shuffled, y=y[order], size=size)
                best, schedule = min((loss(peer(*schedule)), schedule) for schedule in SCHEDULES)
                ours = "".join(f"{loss(GDLogisticRegression(C=C)):9.4f}" for C in columns)
                by = f"{schedule[0]}, eta0={schedule[1]:g}"
                print(f"{name:12}{form:8}{size:6}{best:10.4f}  {by:20}{ours}", flush=True)


def in_turns(ours, theirs, parts):
    """The median seconds that either takes for a part, but for the first."""
    seconds = []
    for X, y in parts:
        marks = [time.perf_counter()]
        for model in (ours, theirs):
            model.partial_fit(X, y, classes=[0, 1])
            marks.append(time.perf_counter())
        seconds.append(np.diff(marks))
    return np.median(seconds[1:], axis=0)


def documents(n_batches, rng):
    """Batches of 1,000 documents of 100 words, drawn by Zipf's law, and labels that some words tell."""
    effects = rng.standard_normal(2**20)
    for _ in range(n_batches):
        words = np.minimum(rng.zipf(1.3, (1000, 100)), 2**20) - 1
        X = HashingVectorizer().transform(" ".join(f"w{word}" for word in row) for row in words)
        yield X, (rng.random(1000) < expit(effects[words].sum(axis=1) / 3)).astype(int)


def hashed(_):
    """Print time and memory of hashed documents."""
    parts = list(documents(20, np.random.default_rng(0)))
    ours, theirs = in_turns(GDLogisticRegression(), SGDClassifier(loss="log_loss"), parts)
    tracemalloc.start()
    model = GDLogisticRegression()
    for X, y in parts[:5]:
        model.partial_fit(X, y, classes=[0, 1])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(
        f"a batch of 1,000 documents in 2^20 features: {1e3 * ours:.1f} ms, SGD {1e3 * theirs:.1f}; {peak / 1e6:.0f} MB"
    )


def rows(_):
    """Print the time of a row."""
    for p in (100, 300, 1000):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((1000, p))
        y = (rng.random(1000) < expit(2 / np.sqrt(p) * X @ rng.standard_normal(p))).astype(int)
        ours, theirs = in_turns(GDLogisticRegression(), SGDClassifier(loss="log_loss"), batches(X, y, 1))
        print(f"a row of {p} features: {1e3 * ours:.2f} ms, SGD {1e3 * theirs:.2f}", flush=True)


TABLES = {"raw": raw, "text": text, "hashed": hashed, "rows": rows}


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m benchmarks.stream", description=__doc__)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}; all if none is named")
    parser.add_argument("--data", type=Path, default=SHARED, help="folder of .npz files")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for table in options.tables or TABLES:
        TABLES[table](options.data)
