"""
A table on a cluster: the same class
====================================

Rows that lie on the workers of a Dask cluster stay there: a pass sends the coefficients to them, and fetches the
gradient. Here the cluster is a LocalCluster in this process. On another cluster only the first line is different.
"""

# %%
# Twenty partitions, each made by the worker that will hold it, as if it read a file.
import dask
import dask.array as da
import matplotlib.pyplot as plt
import numpy as np
from dask.distributed import Client, LocalCluster

from gdlogit import GDLogisticRegression

cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0")
client = Client(cluster)

n, p, n_partitions = 2_000, 30, 20
scales = 10.0 ** np.linspace(-3, 4, p)
w = np.random.default_rng(0).standard_normal(p) / np.sqrt(p)


def read(number):
    """The rows of one file, on raw scales: all seven orders of magnitude."""
    rng = np.random.default_rng([1, number])
    features = rng.standard_normal((n, p))
    sold = features @ w * 2 + rng.logistic(size=n) > 0
    return features * scales, sold.astype(int)


files = [dask.delayed(read, nout=2)(number) for number in range(n_partitions)]
X = da.concatenate([da.from_delayed(table, (n, p), float) for table, _ in files]).persist()
y = da.concatenate([da.from_delayed(labels, (n,), int) for _, labels in files]).persist()
print(X)

# %%
# Fit, as in memory. Each iteration is one pass over all partitions, and one round trip to the cluster.
model = GDLogisticRegression(random_state=0).fit(X, y)
print(f"{model.n_iter_[0]} iterations, {model.n_passes_} passes, proven gap {model.duality_gap_:.0e}")

# %%
# The coefficients are those of the same rows in memory.
in_memory = GDLogisticRegression(random_state=0).fit(*dask.compute(X, y))
difference = np.abs((model.coef_ - in_memory.coef_) * scales).max()
print(f"the largest difference of a coefficient, in units of a spread: {difference:.0e}")

# %%
# Predictions are lazy: an array of the same chunks. Dask computes what you ask for.
probabilities = model.predict_proba(X)[:, 1]
print(probabilities)
shares, edges = da.histogram(probabilities, bins=40, range=(0, 1))

fig, ax = plt.subplots(figsize=(6, 3), layout="constrained")
ax.stairs(shares.compute(), edges, fill=True)
ax.set(xlabel="predicted probability", ylabel="rows")
plt.show()

# %%
# A worker that is lost changes nothing: Dask makes its partitions anew. What a fit needed is released after it.
assert model.converged_
assert model.n_passes_ <= 12
assert difference < 1e-5
assert abs(model.score(X, y) - in_memory.score(*dask.compute(X, y))) < 1e-12
client.close()
cluster.close()
