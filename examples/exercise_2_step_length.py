"""
Exercise 2: break a step length, and mend it
============================================

For teachers and students. Gradient descent has one number to choose, the step length alpha. Find out by experiment
when it breaks, predict the limit from the data, and mend the descent in two ways. Read :doc:`/backpropagation` first.

To set the exercise, remove the cells named "Answer". The cells named "Check" then fail until they are written again.
"""

# %%
# **The task.** 200 people, two features: age in years and income in thousands. Both are centred, and the label depends
# on both.
#
# 1. Write gradient descent: w := w - alpha dw, b := b - alpha db.
# 2. Double alpha until J rises. Where is the limit?
# 3. Predict the limit without trying. *Hint:* the curvature of the loss is at most 1/4, so the second derivative of J
#    along any direction is at most the largest eigenvalue of X X^T / (4 m), L. A step is safe below 2 / L.
# 4. Even a safe step is slow. Why? Mend it.

import matplotlib.pyplot as plt
import numpy as np

from gdlogit import GDLogisticRegression, logistic_backward

rng = np.random.default_rng(0)
m = 200
X = np.vstack([rng.normal(0, 10, m), rng.normal(0, 40, m)])  # a column for each person, as in the textbook
Y = (rng.random((1, m)) < 1 / (1 + np.exp(-(0.05 * X[:1] + 0.02 * X[1:])))).astype(float)


def cost(X, w, b):
    """The mean loss. logaddexp(0, z) is log(1 + exp(z)) without overflow."""
    Z = w.T @ X + b
    return np.mean(np.logaddexp(0, Z) - Y * Z)


# %%
# **Answer to 1.**


def descend(X, alpha, steps):
    """The cost after each step, from w = 0 and b = 0."""
    w, b, costs = np.zeros((len(X), 1)), 0.0, []
    for _ in range(steps):
        A = 1 / (1 + np.exp(-np.clip(w.T @ X + b, -500, 500)))
        gradient = logistic_backward(X, Y, A)
        w, b = w - alpha * gradient["dw"], b - alpha * gradient["db"]
        costs.append(cost(X, w, b))
    return np.array(costs)


# %%
# **Answer to 2 and 3.**
L = np.linalg.eigvalsh(X @ X.T / (4 * m)).max()
print(f"2 / L = {2 / L:.5f}")
for alpha in 0.0005 * 2.0 ** np.arange(6):
    costs = descend(X, alpha, 50)
    rises = np.any(np.diff(costs) > 0)
    print(f"alpha = {alpha:.4f}   J after 50 steps {costs[-1]:8.4f}   {'rises' if rises else 'falls at every step'}")

# %%
# **Check.** Below 1 / L, J falls at every step. Far above 2 / L it rises. In between J may still fall: L takes the
# curvature of every example as 1/4, and an example with a = 0.9 has a (1 - a) = 0.09.
assert np.all(np.diff(descend(X, 0.99 / L, 200)) < 0)
assert np.any(np.diff(descend(X, 8 / L, 50)) > 0)

# %%
# **Answer to 4.** The intercept is a feature of 1, and its curvature is far below L: the income's scale sets the step,
# and the intercept has to take it. Mend it with (a) features in units of their standard deviation, or (b) a step for
# each direction: Newton's method divides the gradient by the curvature. The default solver of gdlogit does (b).
scaled = (X - X.mean(axis=1, keepdims=True)) / X.std(axis=1, keepdims=True)
L_scaled = np.linalg.eigvalsh(scaled @ scaled.T / (4 * m)).max()
model = GDLogisticRegression(C=np.inf, tol=1e-12).fit(X.T, Y[0])
minimum = model.loss_curve_[-1]
curves = {
    "raw features, alpha = 1 / L": descend(X, 1 / L, 400),
    "scaled features, alpha = 1 / L": descend(scaled, 1 / L_scaled, 400),
    "raw features, Newton": model.loss_curve_,
}

_, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
for (name, curve), dash in zip(curves.items(), ("-", "--", "-."), strict=True):
    above = np.maximum(curve - minimum, 1e-16)
    ax.loglog(np.arange(1, len(curve) + 1), above, dash, label=name)
ax.set(xlabel="step", ylabel="cost J above its minimum")
ax.grid(alpha=0.25)
ax.legend()
plt.show()

# %%
# **Check.** Scaling helps, and Newton needs a handful of steps on raw features.
steps = {
    name: int(np.argmax(curve < minimum + 1e-8)) + 1 for name, curve in curves.items() if curve[-1] < minimum + 1e-8
}
print(steps)
assert "raw features, alpha = 1 / L" not in steps
assert 2 * steps["raw features, Newton"] < steps["scaled features, alpha = 1 / L"]

# %%
# **To think about.** Why does scaling not help if two features are nearly equal? Which of the two mends still does?
