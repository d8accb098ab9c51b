"""
Batch against stochastic descent
================================

The classical picture: contours of the cost over two coefficients, and the ways that batch, accelerated, stochastic and
preconditioned descent take across them. Then the same as numbers.
"""

# %%
import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from gdlogit import DescentPathDisplay, GDLogisticRegression, LossCurveDisplay

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X = StandardScaler().set_output(transform="pandas").fit_transform(X)

# %%
# Mean and worst area of a cell say nearly the same, so the contours are a valley: downhill is across it, not along.
display = DescentPathDisplay.from_estimator(
    GDLogisticRegression(batch_size=1, random_state=0), X[["worst area", "mean area"]], y, n_iter=20, resolution=40
)
plt.show()
for solver, path in display.paths.items():
    print(f"{solver:9} {len(path) - 1:6} points, ends {max(display.excess[solver], 0):.0e} above the minimum")

# %%
# On all 30 features. The axis is a proven bound on J - min J, from the duality gap of the best of them.
models = {}
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # 60 iterations are too few for three of them
    for solver in ("auto", "nesterov", "gd", "sgd"):
        model = GDLogisticRegression(solver=solver, max_iter=60, batch_size=32, random_state=0)
        models[solver] = model.fit(X, y)
LossCurveDisplay.from_estimators(models, gap=True)
plt.show()

# %%
assert abs(display.excess["auto"]) < 1e-9 < display.excess["nesterov"] < display.excess["gd"]
assert display.excess["sgd"] < display.excess["gd"]
assert models["auto"].converged_
assert models["auto"].n_iter_ < 20
assert models["nesterov"].loss_curve_[-1] < models["gd"].loss_curve_[-1]
