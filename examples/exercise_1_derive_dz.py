"""
Exercise 1: derive dz = a - y
=============================

For teachers and students. The derivative of the loss with respect to the score is the residual a - y, the shortest
formula of the course. Derive it by hand, write it down as code, and check it in three ways that know nothing of your
derivation. Read :doc:`/backpropagation` first.

To set the exercise, remove the cells named "Answer". The cells named "Check" then fail until they are written again.
"""

# %%
# **The task.** One example has the score z, the prediction a = sigma(z) = 1 / (1 + exp(-z)), and the label y, 0 or 1.
# Its loss is L = -(y log a + (1 - y) log(1 - a)).
#
# 1. Differentiate L with respect to a.
# 2. Differentiate a with respect to z, and write the result with a alone.
# 3. Multiply. What is left?
#
# *Hint for 2:* the derivative of 1 / u is -1 / u^2, and exp(-z) = (1 - a) / a.

import numpy as np

from gdlogit import logistic_backward
from gdlogit.graph import Node, backward, log, sigmoid


def sigma(z):
    """The logistic function."""
    return 1 / (1 + np.exp(-z))


def loss(z, y):
    """The loss of one example."""
    a = sigma(z)
    return -(y * np.log(a) + (1 - y) * np.log(1 - a))


# %%
# **Answer.**
#
# 1. dL/da = -y / a + (1 - y) / (1 - a).
# 2. da/dz = exp(-z) / (1 + exp(-z))^2 = a (1 - a).
# 3. dL/dz = -y (1 - a) + (1 - y) a = -y + y a + a - y a = a - y.


def my_da(a, y):
    """Step 1."""
    return -y / a + (1 - y) / (1 - a)


def my_dz(a, y):
    """Step 3."""
    return a - y


# %%
# **Check 1: finite differences.** A derivative is the limit of (L(z + h) - L(z - h)) / 2h. This needs no derivation.


def slope(f, z, h=1e-5):
    """The central difference of f at z."""
    return (f(z + h) - f(z - h)) / (2 * h)


for y in (0, 1):
    for z in (-2.0, -0.1, 0.0, 1.5):
        a = sigma(z)
        np.testing.assert_allclose(my_dz(a, y), slope(lambda z, y=y: loss(z, y), z), rtol=1e-8)
        np.testing.assert_allclose(my_dz(a, y), my_da(a, y) * a * (1 - a), rtol=1e-12)
        print(f"y = {y}   z = {z:4.1f}   a = {a:.3f}   dz = {my_dz(a, y):+.3f}")

# %%
# **Check 2: the computational graph.** It knows the derivatives of log, sigmoid, * and -, and the chain rule.
score = Node(1.5, "z")
prediction = sigmoid(score).named("a")
L = -log(1 - prediction)  # the label is 0
np.testing.assert_allclose(backward(L)[score], my_dz(sigma(1.5), 0), rtol=1e-12)

# %%
# **Check 3: many examples at once.** Three examples are the columns of X. The gradient of the mean loss is
# dw = X (A - Y)^T / m.
X = np.array([[1.0, 2.0, -1.0], [0.0, 1.0, 1.0]])
Y = np.array([[1.0, 1.0, 0.0]])
A = sigma(np.array([[0.1, -0.2]]) @ X)
np.testing.assert_allclose(X @ my_dz(A, Y).T / 3, logistic_backward(X, Y, A)["dw"], rtol=1e-12)

# %%
# **Would the checks notice a mistake?** Here are the three most frequent ones. Each fails the first check.
mistakes = {
    "the sign is wrong": lambda a, y: y - a,
    "the factor a (1 - a) is forgotten": my_da,
    "the factor a (1 - a) is there twice": lambda a, y: (a - y) * a * (1 - a),
}
for name, wrong in mistakes.items():
    error = abs(wrong(sigma(1.5), 0) - slope(lambda z: loss(z, 0), 1.5))
    print(f"{name}: off by {error:.2f}")
    assert error > 0.1

# %%
# **To think about.** What is dz if the model is certain and right? Certain and wrong? With the squared loss
# (a - y)^2 / 2, dz is (a - y) a (1 - a): what does a model learn then from an example of which it is certain and wrong?
assert abs(my_dz(sigma(-8.0), 1)) > 0.99  # certain and wrong: the log-loss pulls with full strength
assert abs((sigma(-8.0) - 1) * sigma(-8.0) * (1 - sigma(-8.0))) < 0.001  # the squared loss hardly pulls at all
