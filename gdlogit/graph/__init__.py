"""A computational graph: forward values, backward derivatives, the chain rule.

A formula is evaluated one operation at a time, and each operation leaves a node that remembers its
operands.  Going forward, from the variables to the output f, gives the values.  Going backward, from f,
gives the derivative of f with respect to every node: if u is an operand of the nodes v, then

    df/du = sum over v of  df/dv  dv/du,     df/df = 1.

The local factors dv/du are all the calculus there is.  They stand beside their operations in one table,
`OPERATIONS`; the chain rule does the rest.  Values are NumPy arrays and broadcast: an entry that was used
many times collects the sum of its derivatives, by the same rule.

The textbook example is f = (x + y) z at x = 1, y = 3, z = -3.  Forward: p = x + y = 4, f = p z = -12.
Backward: df/df = 1, df/dp = z = -3, df/dz = p = 4 and, through p, df/dx = df/dy = -3.  (Widely copied
lecture notes slip here: they write p = x + z, and df/dg where they mean df/dp.)

>>> x, y, z = Node(1, "x"), Node(3, "y"), Node(-3, "z")
>>> p = (x + y).named("p")
>>> f = (p * z).named("f")
>>> print(trace(f))
node  operation  value  derivative
x     variable   1      df/dx = -3
y     variable   3      df/dy = -3
z     variable   -3     df/dz = 4
p     x + y      4      df/dp = -3
f     p * z      -12    df/df = 1

The graph teaches, and it is an oracle: it knows nothing of the hand-derived gradients of the package, so
they can be tested against it.  The gradient of a penalised softmax cross-entropy, labels Y one-hot:

>>> import numpy as np
>>> X, Y = np.array([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]]), np.eye(3)
>>> theta = Node(np.zeros((2, 3)), "theta")
>>> Z = X @ theta
>>> J = (logsumexp(Z, axis=1) - (Y * Z).sum(axis=1)).sum() / 3 + 0.1 * (theta**2).sum()
>>> by_hand = X.T @ (np.full((3, 3), 1 / 3) - Y) / 3
>>> bool(np.allclose(backward(J)[theta], by_hand))
True

References
----------
D. E. Rumelhart, G. E. Hinton and R. J. Williams (1986). Learning representations by back-propagating
errors. Nature 323, 533-536.

A. Griewank and A. Walther (2008). Evaluating Derivatives: Principles and Techniques of Algorithmic
Differentiation, 2nd edition, chapters 2 and 3. SIAM.
"""

from .engine import OPERATIONS, Node, backward, exp, log, logsumexp, sigmoid, softplus
from .logistic import LogisticStep, logistic_step
from .show import draw, trace

__all__ = [
    "OPERATIONS",
    "LogisticStep",
    "Node",
    "backward",
    "draw",
    "exp",
    "log",
    "logistic_step",
    "logsumexp",
    "sigmoid",
    "softplus",
    "trace",
]
