"""One step of logistic regression, walked through on the graph."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .engine import Node, backward, brief, softplus, stable_sigmoid

__all__ = ["LogisticStep", "logistic_step"]


class LogisticStep(NamedTuple):
    """The quantities of one step of logistic regression. Its repr shows each quantity beside its formula.

    Attributes
    ----------
    z, a, loss : ndarray, shape (m,) or (1, m)
        Scores, probabilities and losses of the m examples.
    cost : float
        The mean loss J.
    da, dz : ndarray, of the shape of z
        Derivatives of each example's loss with respect to its own a and z.
    dw, db : ndarray, of the shapes of w and b
        Derivatives of the cost.
    w, b : ndarray
        The parameters after the step.
    graph : Node
        The cost as a node, to `trace` or `draw`.
    """

    z: NDArray[np.float64]
    a: NDArray[np.float64]
    loss: NDArray[np.float64]
    cost: float
    da: NDArray[np.float64]
    dz: NDArray[np.float64]
    dw: NDArray[np.float64]
    db: NDArray[np.float64]
    w: NDArray[np.float64]
    b: NDArray[np.float64]
    graph: Node

    def __repr__(self) -> str:
        """Show each formula beside its numbers."""
        return f"""\
forward
  Z = w^T X + b                          {brief(self.z)}
  A = sigmoid(Z)                         {brief(self.a)}
  L = -(Y log A + (1 - Y) log(1 - A))    {brief(self.loss)}
  J = 1/m sum(L)                         {brief(self.cost)}
backward
  dA = -Y/A + (1 - Y)/(1 - A)            {brief(self.da)}
  dZ = dA * A(1 - A) = A - Y             {brief(self.dz)}
  dw = 1/m X (A - Y)^T                   {brief(self.dw)}
  db = 1/m sum(A - Y)                    {brief(self.db)}
update
  w := w - alpha dw                      {brief(self.w)}
  b := b - alpha db                      {brief(self.b)}"""


def logistic_step(
    X: ArrayLike, Y: ArrayLike, w: ArrayLike, b: ArrayLike = 0.0, learning_rate: float = 0.1
) -> LogisticStep:
    """Go forward and backward through logistic regression once, and descend one step.

    In the notation of the textbook, where the examples are columns::

        Z = w^T X + b,   A = sigmoid(Z),   L = -(Y log A + (1 - Y) log(1 - A)),   J = 1/m sum(L)
        dA = -Y/A + (1 - Y)/(1 - A),       dZ = dA * A(1 - A) = A - Y
        dw = 1/m X (A - Y)^T,              db = 1/m sum(A - Y)
        w := w - alpha dw,                 b := b - alpha db

    Parameters
    ----------
    X : array-like, shape (n_features, m)
        The examples, one in each column: scikit-learn's X, transposed.
    Y : array-like, shape (m,) or (1, m)
        The labels, 0 or 1.
    w : array-like, shape (n_features,) or (n_features, 1)
        The weights.
    b : float or array-like of size 1, default=0.0
        The intercept.
    learning_rate : float, default=0.1
        The alpha of the update.

    Returns
    -------
    step : LogisticStep

    Raises
    ------
    ValueError
        If shapes do not match, or a label is neither 0 nor 1.

    Notes
    -----
    The graph, not the formulas, gives dz, dw and db.  The graph does without A: as log A = -softplus(-Z) and
    log(1 - A) = -softplus(Z), the loss of an example is softplus((1 - 2Y) Z).  So the loss, dz, dw and db keep
    all their digits where A rounds to 0 or 1.  Only da comes from its formula, with 1 - A = sigmoid(-Z);
    da is infinite where the derivative itself overflows (a wrong score beyond 709).

    Examples
    --------
    >>> step = logistic_step(X=[[1.0, 2.0, -1.0], [0.0, 1.0, 1.0]], Y=[1, 1, 0], w=[0.0, 0.0])
    >>> print(step)
    forward
      Z = w^T X + b                          [0 0 0]
      A = sigmoid(Z)                         [0.5 0.5 0.5]
      L = -(Y log A + (1 - Y) log(1 - A))    [0.6931 0.6931 0.6931]
      J = 1/m sum(L)                         0.6931
    backward
      dA = -Y/A + (1 - Y)/(1 - A)            [-2 -2 2]
      dZ = dA * A(1 - A) = A - Y             [-0.5 -0.5 0.5]
      dw = 1/m X (A - Y)^T                   [-0.6667 0]
      db = 1/m sum(A - Y)                    -0.1667
    update
      w := w - alpha dw                      [0.06667 0]
      b := b - alpha db                      0.01667
    """
    X, Y, w, b = (np.asarray(array, dtype=np.float64) for array in (X, Y, w, b))
    if X.ndim != 2 or X.shape[1] == 0:
        raise ValueError(f"X must have shape (n_features, m) with m >= 1, got {X.shape}")
    n_features, m = X.shape
    for name, array, shapes in (
        ("Y", Y, [(m,), (1, m)]),
        ("w", w, [(n_features,), (n_features, 1)]),
        ("b", b, [(), (1,), (1, 1)]),
    ):
        if array.shape not in shapes:
            accepted = " or ".join(map(str, shapes))
            raise ValueError(
                f"{name} must have shape {accepted}, as X has {n_features} features (rows) and {m} examples "
                f"(columns); got {array.shape}"
            )
    if not np.isin(Y, (0, 1)).all():
        raise ValueError(f"Y must contain only 0 and 1, got {Y[~np.isin(Y, (0, 1))][0]}")

    X_node, w_node, b_node = Node(X, "X", "constant"), Node(w, "w"), Node(b, "b")
    Z = (w_node.T @ X_node + b_node).named("Z")
    Y = Y.reshape(Z.value.shape)
    L = softplus(Node(1 - 2 * Y, "(1 - 2Y)", "constant") * Z).named("L")
    J = (L.sum() / m).named("J")

    of_cost, of_losses = backward(J), backward(L, seed=np.ones(L.value.shape))
    dw, db = of_cost[w_node], of_cost[b_node]
    a, one_minus_a = stable_sigmoid(Z.value), stable_sigmoid(-Z.value)
    with np.errstate(divide="ignore", over="ignore"):  # infinite where the derivative overflows
        da = np.where(Y == 1, -1 / a, 1 / one_minus_a)
    return LogisticStep(
        z=Z.value,
        a=a,
        loss=L.value,
        cost=float(J.value),
        da=da,
        dz=of_losses[Z],
        dw=dw,
        db=db,
        w=w - learning_rate * dw,
        b=b - learning_rate * db,
        graph=J,
    )
