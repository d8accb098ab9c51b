"""Time and memory of encoding labels, beside scikit-learn's LabelEncoder: python -m benchmarks.labels.

CPU seconds of one thread, the least of some turns; the bar is twice LabelEncoder's, for every kind of label.
"""

import time
import tracemalloc

import numpy as np
from sklearn.preprocessing import LabelEncoder

from gdlogit.estimators.validation import encode

SIZES = [(1000, 2), (100_000, 2), (100_000, 20), (100_000, 1000), (20_000, 5000), (1_000_000, 30)]
TURNS = 7


def kinds(codes, k):
    """Yield the same labels in every kind."""
    words = np.array([f"label number {number}" for number in range(k)])
    yield "int64", codes
    yield "int64 far apart", codes * 10**9
    yield "int16", codes.astype(np.int16)
    yield "uint64 big", codes.astype(np.uint64) + np.uint64(2**63)
    yield "float64", codes.astype(float)
    yield "float32", codes.astype(np.float32)
    yield "short strings", codes.astype(str)
    yield "strings", words[codes]
    yield "bytes", words.astype(bytes)[codes]
    yield "objects", words.astype(object)[codes]
    if k == 2:
        yield "bools", codes.astype(bool)


def seconds(f):
    """CPU seconds of one call."""
    began = time.process_time()
    f()
    return time.process_time() - began


def peak(f):
    """Most bytes that a call has allocated at a time."""
    tracemalloc.start()
    f()
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def main():
    """Print a table."""
    print(
        f"{'rows':>9} {'classes':>7}  {'labels':16} {'ours, ms':>9} {'theirs, ms':>10} {'ratio':>6} {'MB':>6} {'MB':>6}"
    )
    for n, k in SIZES:
        codes = np.random.default_rng(0).permutation(np.arange(n) % k)
        for name, y in kinds(codes, k):
            runs = [lambda y=y: encode(y, None, None, True), lambda y=y: LabelEncoder().fit_transform(y)]
            ours, theirs = np.min([[seconds(run) for run in runs] for _ in range(TURNS)], axis=0)
            sizes = " ".join(f"{peak(run) / 1e6:6.1f}" for run in runs)
            times = f"{1e3 * ours:9.2f} {1e3 * theirs:10.2f} {ours / theirs:6.2f}"
            print(f"{n:9d} {k:7d}  {name:16} {times} {sizes}", flush=True)


if __name__ == "__main__":
    main()
