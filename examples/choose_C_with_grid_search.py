"""
Choosing C with GridSearchCV
============================

A grid search fits the same data many times. Each of these fits should reach its minimum. Otherwise the grid compares
how far each fit came, not how strong its penalty is.
"""

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdlogit import GDLogisticRegression

X, y = load_wine(return_X_y=True)
grid = np.logspace(-4, 4, 9)
folds = StratifiedKFold(5, shuffle=True, random_state=0)

# %%
# Scaling changes the model, because the penalty then treats features alike. The solver does not need it. So let
# cross-validation decide.
search = GridSearchCV(
    make_pipeline(StandardScaler(), GDLogisticRegression(random_state=0)),
    {"standardscaler": [StandardScaler(), "passthrough"], "gdlogisticregression__C": grid},
    scoring="neg_log_loss",
    cv=folds,
)
with warnings.catch_warnings():
    warnings.simplefilter("error")  # 90 fits on raw and scaled features, and none of them warns
    search.fit(X, y)

results = search.cv_results_
loss = -results["mean_test_score"]
raw = np.array([str(scaler) == "passthrough" for scaler in results["param_standardscaler"]])

_, ax = plt.subplots(figsize=(6, 4), layout="constrained")
ax.plot(grid, loss[~raw], "o-", color="black", label="scaled features")
ax.plot(grid, loss[raw], "s--", color="#D55E00", label="raw features")
ax.set(xscale="log", yscale="log", xlabel="C", ylabel="log-loss, five folds")
ax.grid(alpha=0.25)
ax.legend()
plt.show()
print(f"best: {search.best_params_}, log-loss {loss.min():.4f}")

# %%
# In a notebook the search is shown as a diagram.
search

# %%
# The best is inside the grid, and the fitted pipeline has converged.
assert grid[0] < search.best_params_["gdlogisticregression__C"] < grid[-1]
assert search.best_estimator_[-1].converged_
assert search.best_estimator_.score(X, y) > 0.97
