"""
One step of backpropagation
===========================

Every operation has a known derivative, and the chain rule multiplies these derivatives from the result back to
the variables.  The first example is the textbook's f = (x + y) z.  The second is one step of logistic regression,
where the graph gives the formulas that are usually derived by hand.
"""

import matplotlib.pyplot as plt
import numpy as np

from gdlogit.graph import Node, backward, draw, logistic_step, trace

# %%
# f = (x + y) z at x = 1, y = 3, z = -3.  Forward, above the boxes: p = 4, then f = -12.  Backward, below:
# df/dp is z and df/dz is p, and x and y receive df/dp unchanged, because p = x + y.

x, y, z = Node(1, "x"), Node(3, "y"), Node(-3, "z")
p = (x + y).named("p")
f = (p * z).named("f")

print(trace(f))
draw(f)
plt.show()
assert backward(f) == {x: -3, y: -3, z: 4, p: -3, f: 1}

# %%
# One step of logistic regression on three examples (the columns of X).

X = np.array([[1.0, 2.0, -1.0], [0.0, 1.0, 1.0]])
Y = np.array([1, 1, 0])
w, b = np.array([0.1, -0.2]), np.array(0.0)
step = logistic_step(X, Y, w, b, learning_rate=0.5)

print()
print(step)
draw(step.graph)
plt.show()

# %%
# The graph does not know the formula A - Y, but gives the same numbers.

A = 1 / (1 + np.exp(-(w @ X + b)))
np.testing.assert_allclose(step.dz, A - Y)
np.testing.assert_allclose(step.dw, X @ (A - Y) / 3)
np.testing.assert_allclose(step.db, np.mean(A - Y))

# %%
# Many steps are gradient descent. The cost falls at every step.

costs = []
for _ in range(50):
    step = logistic_step(X, Y, w, b, learning_rate=0.5)
    w, b = step.w, step.b
    costs.append(step.cost)
assert np.all(np.diff(costs) < 0)

figure, ax = plt.subplots()
ax.plot(costs)
ax.set(xlabel="step of gradient descent", ylabel="cost J, the mean loss")
plt.show()
