"""
Embeddings: a linear probe with a hundred classes
=================================================

A linear probe is a logistic regression on the vectors that a neural network makes of images or texts. There are many
features, often many classes, the numbers are float32, and nobody scales them. Here the vectors are synthetic: 100
clusters in 128 correlated dimensions, far from 0. That makes 12,900 coefficients.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from gdlogit import GDLogisticRegression

rng = np.random.default_rng(0)
y = rng.integers(0, 100, 6000)
vectors = 0.6 * rng.standard_normal((100, 128))[y] + rng.standard_normal((6000, 128))
X = (vectors @ rng.standard_normal((128, 128)) + 20 * rng.standard_normal(128)).astype(np.float32)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)

# %%
# There is nothing to set. ``tol_`` says how near to the minimum the fit was to come, ``duality_gap_`` what is proven.
model = GDLogisticRegression(C=0.01, random_state=0).fit(X_train, y_train)
passes, accuracy = model.history_["passes"][-1], model.score(X_test, y_test)
print(f"{passes:.0f} passes, tol_ {model.tol_:.0e}, duality gap {model.duality_gap_:.0e}, accuracy {accuracy:.2f}")

# %%
# J falls at every step, and each step reads the rows once.
figure, ax = plt.subplots(figsize=(6, 3.5), layout="constrained")
ax.semilogy(model.history_["passes"][:-1], model.loss_curve_[:-1] - model.loss_curve_[-1], marker="o")
ax.set_xlabel("passes over the rows")
ax.set_ylabel("J above its last value")
plt.show()

# %%
assert model.converged_
assert model.coef_.dtype == np.float32
assert (np.diff(model.loss_curve_) <= 0).all()
assert accuracy > 0.5
