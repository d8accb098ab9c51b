"""
Has it converged? A proof instead of a guess
============================================

Solvers stop when some quantity is small: the gradient, the change of J, the number of iterations left. None of these
says how far the objective is above its minimum. A duality gap is a proven bound on that distance, and it does not need
the minimum. Far from the minimum the bound is loose; near the minimum it is close to the true distance.
"""

# %%
# Fits with smaller and smaller tol on raw data, and the gap that each fit reports.
import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer

from gdlogit import GDLogisticRegression

X, y = load_breast_cancer(return_X_y=True)
tolerances = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8)
models = [GDLogisticRegression(tol=tol, random_state=0).fit(X, y) for tol in tolerances]
J = [model.loss_curve_[-1] for model in models]
gaps = [model.duality_gap_ for model in models]

# %%
# To compare, the true distance, from a fit to the last digit.
minimum = GDLogisticRegression(tol=1e-15, random_state=0).fit(X, y).loss_curve_[-1]
print("tol       J - min J   duality_gap_   iterations")
for tol, value, gap, model in zip(tolerances, J, gaps, models, strict=True):
    print(f"{tol:<9g} {max(value - minimum, 0):<11.1e} {gap:<14.1e} {model.n_iter_[0]}")

_, ax = plt.subplots(figsize=(6, 4), layout="constrained")
floor = 1e-16
ax.loglog(tolerances, [max(gap, floor) for gap in gaps], "o-", color="black", label="duality_gap_, the proof")
truth = [max(value - minimum, floor) for value in J]
ax.loglog(tolerances, truth, "s--", color="#D55E00", label="J above its minimum, the true distance")
ax.loglog(tolerances, tolerances, ":", color="0.5", label="tol, the requested distance")
ax.set(xlabel="tol, what a fit was asked for", ylabel="objective J above its minimum")
ax.invert_xaxis()
ax.grid(alpha=0.25)
ax.legend()
plt.show()

# %%
# The proof holds for every tol, up to the rounding of J.
assert all(value - minimum <= gap + 1e-15 for value, gap in zip(J, gaps, strict=True))
assert all(model.converged_ for model in models)
assert all(value - minimum <= tol for value, tol in zip(J, tolerances, strict=True))
assert gaps[-1] < 1e-8
