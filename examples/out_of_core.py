"""
A table larger than memory: memory-mapped rows
==============================================

A fit reads its rows in blocks of about 4 MB and keeps none of them. So X may be a memory-mapped file, which the
operating system reads page by page. Here the file has 80 MB; the same code also fits a file that is larger than the
memory.
"""

# %%
# Write a file block by block, as if it did not fit in memory.
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np

from gdlogit import GDLogisticRegression

n, p = 200_000, 50
rng = np.random.default_rng(0)
w = rng.standard_normal(p) / np.sqrt(p)
scales = 10.0 ** rng.uniform(0, 6, p)  # raw features, over six orders of magnitude
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "X.npy"
X = np.lib.format.open_memmap(path, mode="w+", dtype=np.float64, shape=(n, p))
y = np.empty(n, dtype=np.int8)
for start in range(0, n, 20_000):
    block = slice(start, start + 20_000)
    features = rng.standard_normal((20_000, p))
    y[block] = rng.random(20_000) < 1 / (1 + np.exp(-2 * features @ w))
    X[block] = features * scales
X.flush()
del X

# %%
# Open the file again, and fit. tracemalloc counts what NumPy allocates during the fit, without the pages of the file.
X = np.load(path, mmap_mode="r")
tracemalloc.start()
model = GDLogisticRegression(random_state=0).fit(X, y)
_, peak = tracemalloc.get_traced_memory()
tracemalloc.stop()
print(f"X has {X.nbytes / 1e6:.0f} MB; the fit allocated {peak / 1e6:.0f} MB at most")
print(f"{model.n_iter_[0]} iterations, J is above its minimum by {model.duality_gap_:.0e} at most")

# %%
# Most of it is the sample of rows for the metric, which has at most 40 MB, or 6.5% of X if that is more, up to 160 MB.
assert model.converged_
assert peak < X.nbytes / 2
np.testing.assert_allclose(model.coef_[0] * scales, 2 * w, atol=0.05)
del X, model
folder.cleanup()
