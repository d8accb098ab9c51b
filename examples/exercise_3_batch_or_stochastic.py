"""
Exercise 3: batch against stochastic
====================================

For teachers and students. Batch gradient descent looks at all examples before each step, stochastic gradient descent
at one. Which is better? Write both, count in epochs, and see when each one wins. Read :doc:`/batch_or_stochastic`
first.

To set the exercise, remove the cells named "Answer". The cells named "Check" then fail until they are written again.
"""

# %%
# **The task.** 2,000 examples with five features, already on one scale. An epoch is one look at every example: one step
# of batch descent, or 2,000 steps of stochastic descent.
#
# 1. Write batch descent with alpha = 1.
# 2. Write stochastic descent: shuffle the examples, then take a step for each. Use a constant alpha = 0.1.
# 3. Compare the costs after 1 and after 30 epochs.
# 4. Stochastic descent does not settle. Mend it with an alpha that falls.

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit

from gdlogit import GDLogisticRegression, logistic_backward

rng = np.random.default_rng(0)
m, epochs = 2000, 30
X = rng.standard_normal((5, m))  # a column for each example, as in the textbook
Y = (rng.random((1, m)) < expit(np.array([[2.0, -1.0, 0.5, 0.0, 1.0]]) @ X)).astype(float)


def cost(w, b):
    """The mean loss of all examples."""
    Z = w.T @ X + b
    return np.mean(np.logaddexp(0, Z) - Y * Z)


# %%
# **Answer to 1.**


def batch(alpha):
    """The cost after each epoch: a step each."""
    w, b, costs = np.zeros((5, 1)), 0.0, []
    for _ in range(epochs):
        gradient = logistic_backward(X, Y, expit(w.T @ X + b))
        w, b = w - alpha * gradient["dw"], b - alpha * gradient["db"]
        costs.append(cost(w, b))
    return np.array(costs)


# %%
# **Answer to 2 and 4.** For one example the gradient is (a - y) x: there is nothing to average.


def stochastic(alpha):
    """The cost after each epoch: a step for each example. alpha is a function of the number of steps so far."""
    w, b, costs, step = np.zeros(5), 0.0, [], 0
    for _ in range(epochs):
        for i in rng.permutation(m):
            dz = expit(w @ X[:, i] + b) - Y[0, i]
            w, b = w - alpha(step) * dz * X[:, i], b - alpha(step) * dz
            step += 1
        costs.append(cost(w[:, None], b))
    return np.array(costs)


# %%
# **Answer to 3.** The minimum comes from a solver that proves it.
model = GDLogisticRegression(C=np.inf, tol=1e-12).fit(X.T, Y[0])
minimum = model.loss_curve_[-1]
curves = {
    "batch, alpha = 1": batch(1.0),
    "stochastic, alpha = 0.1": stochastic(lambda step: 0.1),
    "stochastic, alpha falls": stochastic(lambda step: 0.5 / (1 + step / 100)),
}
_, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
for (name, curve), dash in zip(curves.items(), ("-", "--", "-."), strict=True):
    print(
        f"{name:24} above the minimum after 1 epoch {curve[0] - minimum:.1e}, after {epochs} {curve[-1] - minimum:.1e}"
    )
    ax.semilogy(np.arange(1, epochs + 1), curve - minimum, dash, label=name)
ax.set(xlabel="epoch, one look at every example", ylabel="cost J above its minimum")
ax.grid(alpha=0.25)
ax.legend()
plt.show()

# %%
# **Check.** After one epoch stochastic descent is far ahead: it has made 2,000 steps. In the end batch descent wins,
# because a constant step on one example never comes to rest. A falling step mends that.
first, last = ({name: curve[i] - minimum for name, curve in curves.items()} for i in (0, -1))
assert first["stochastic, alpha = 0.1"] < 0.5 * first["batch, alpha = 1"]
assert last["batch, alpha = 1"] < last["stochastic, alpha = 0.1"]
assert last["stochastic, alpha falls"] < 0.1 * last["stochastic, alpha = 0.1"]

# %%
# **Check.** Batch descent falls at every step; the noise of a constant step stays.
assert np.all(np.diff(curves["batch, alpha = 1"]) < 0)
assert np.any(np.diff(curves["stochastic, alpha = 0.1"]) > 0)

# %%
# **To think about.** With 2,000,000 examples that come from the same distribution, how far is stochastic descent after
# one epoch, and how far is batch descent? What if you can afford a tenth of an epoch?
