"""
Batch against stochastic descent
================================

The classical picture: contours of the cost over two coefficients, and the paths of batch, accelerated and stochastic
gradient descent and of the default solver. Then the same as numbers.
"""

# %%
import warnings

import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from gdlogit import DescentPathDisplay, GDLogisticRegression, LossCurveDisplay
from gdlogit.typing import Solver

X, y = load_breast_cancer(return_X_y=True, as_frame=True)
X = StandardScaler().set_output(transform="pandas").fit_transform(X)

# %%
# The mean and the worst area of a cell are nearly the same feature, so the contours form a valley. The steepest
# direction leads across the valley, not along it.
display = DescentPathDisplay.from_estimator(
    GDLogisticRegression(batch_size=1, random_state=0), X[["worst area", "mean area"]], y, n_iter=20, resolution=40
)
plt.show()
for solver, path in display.paths.items():
    print(f"{solver:9} {len(path) - 1:6} points, ends {max(display.excess[solver], 0):.0e} above the minimum")

# %%
# All 30 features. The vertical axis is a proven bound on J - min J, from the smallest duality gap of the four fits.
models = {}
solvers: tuple[Solver, ...] = ("auto", "nesterov", "gd", "sgd")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)  # 60 iterations are too few for three of them
    for solver in solvers:
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
