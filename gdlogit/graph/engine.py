"""The graph: operations with their derivatives, nodes, and the chain rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "OPERATIONS",
    "Node",
    "backward",
    "brief",
    "exp",
    "formula",
    "forward_order",
    "label",
    "log",
    "logsumexp",
    "sigmoid",
    "softplus",
    "stable_sigmoid",
]


def stable_sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evaluate 1 / (1 + exp(-x)) without overflow."""
    small = np.exp(-np.abs(x))  # at most 1: no overflow at any score
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def _matmul_rule(df: Any, f: Any, x: Any, y: Any) -> tuple[Any, Any]:
    # As NumPy does: a vector on the left is a row, a vector on the right is a column.
    row, column = x.ndim == 1, y.ndim == 1
    X = x[np.newaxis, :] if row else x
    Y = y[:, np.newaxis] if column else y
    dF = np.expand_dims(df, [axis for axis, absent in ((-2, row), (-1, column)) if absent])
    dX, dY = dF @ np.swapaxes(Y, -1, -2), np.swapaxes(X, -1, -2) @ dF
    return dX[..., 0, :] if row else dX, dY[..., 0] if column else dY


def _scatter(df: Any, x: Any, index: Any) -> NDArray[np.float64]:
    dx = np.zeros(x.shape)
    np.add.at(dx, index, df)  # adds up the entries that were picked twice
    return dx


def _spread(reduced: Any, x: Any, axis: int | tuple[int, ...] | None) -> Any:
    """Repeat along ``axis`` what was reduced over ``axis``, back to the shape of x."""
    if reduced.ndim < x.ndim:
        reduced = np.expand_dims(reduced, tuple(range(x.ndim)) if axis is None else axis)
    return np.broadcast_to(reduced, x.shape)


#: The operations, keyed by how they are printed.  Each is a pair
#:
#:     forward:   operands x, y        ->  value f
#:     backward:  df, f, operands x, y ->  df * (df/dx, df/dy), one for each operand,
#:
#: where df stands for the derivative of the output with respect to this f.
OPERATIONS: dict[str, tuple[Callable[..., Any], Callable[..., tuple[Any, ...]]]] = {
    "{} + {}": (lambda x, y: x + y, lambda df, f, x, y: (df, df)),
    "{} - {}": (lambda x, y: x - y, lambda df, f, x, y: (df, -df)),
    "{} * {}": (lambda x, y: x * y, lambda df, f, x, y: (df * y, df * x)),
    "{} / {}": (lambda x, y: x / y, lambda df, f, x, y: (df / y, -df * f / y)),
    "{} @ {}": (lambda x, y: x @ y, _matmul_rule),
    "-{}": (lambda x: -x, lambda df, f, x: (-df,)),
    "{} ** {k}": (lambda x, k: x**k, lambda df, f, x, k: (df * (k * x ** (k - 1) if k else 0.0),)),
    "exp({})": (np.exp, lambda df, f, x: (df * f,)),
    "log({})": (np.log, lambda df, f, x: (df / x,)),
    # f (1 - f), with 1 - sigmoid(x) = sigmoid(-x), which keeps its digits where f rounds to 1
    "sigmoid({})": (stable_sigmoid, lambda df, f, x: (df * f * stable_sigmoid(-x),)),
    "softplus({})": (lambda x: np.logaddexp(0.0, x), lambda df, f, x: (df * stable_sigmoid(x),)),
    "{}.T": (lambda x: x.T, lambda df, f, x: (df.T,)),
    "{}[index]": (lambda x, index: x[index], lambda df, f, x, index: (_scatter(df, x, index),)),
    "sum({})": (
        lambda x, axis, keepdims: x.sum(axis=axis, keepdims=keepdims),
        lambda df, f, x, axis, keepdims: (_spread(df, x, axis),),
    ),
    "logsumexp({})": (
        lambda x, axis, keepdims: np.logaddexp.reduce(x, axis=axis, keepdims=keepdims),
        lambda df, f, x, axis, keepdims: (_spread(df, x, axis) * np.exp(x - _spread(f, x, axis)),),
    ),
}


def _apply(operation: str, *operands: Node | ArrayLike, **options: Any) -> Node:
    """Go forward through one operation, leaving a node."""
    parents = tuple(x if isinstance(x, Node) else Node(x, operation="constant") for x in operands)
    forward, _ = OPERATIONS[operation]
    value = forward(*(parent.value for parent in parents), **options)
    return Node(value, operation=operation, parents=parents, options=options)


def _infix(operation: str) -> tuple[Callable[..., Node], Callable[..., Node]]:
    """Make the method of an infix operator, and its mirrored form for a number or an array on the left."""

    def method(self: Node, other: Node | ArrayLike) -> Node:
        return _apply(operation, self, other)

    def mirrored(self: Node, other: Node | ArrayLike) -> Node:
        return _apply(operation, other, self)

    return method, mirrored


class Node:
    """A value in the graph, and the operation that made it.

    Write formulas with ``+ - * / @ **``, ``-x``, ``x.T``, ``x[index]``, ``x.sum()`` and the functions of
    this module.  The numbers and arrays written into a formula enter as constants.

    Parameters
    ----------
    value : array-like
        A number or an array of any shape, copied to float64 and read-only from then on.
    name : str, default=""
        What `trace` and `draw` call the node.
    operation : str, default="variable"
        ``"variable"``, ``"constant"`` (no derivative is kept) or, as operations set it, a key of
        `OPERATIONS`.
    parents : tuple of Node, default=()
        The operands, in order; ``x * x`` has x twice.
    options : dict, default=None
        Arguments of the operation besides its operands: an axis, an index, an exponent.

    Notes
    -----
    A node holds no derivative: `backward` returns all derivatives, so that nothing is left over from an
    earlier call.  Derivatives are looked up by the node's identity, so a copy of a node is the node itself.

    Examples
    --------
    >>> x = Node([1.0, 2.0, 3.0], "x")
    >>> (2 * x + 1).value
    array([3., 5., 7.])
    >>> backward((x * x).sum())[x]
    array([2., 4., 6.])
    """

    __slots__ = ("__weakref__", "born", "name", "operation", "options", "parents", "value")
    __array_ufunc__ = None  # ``array * node`` is for the node to compute, not for the array

    _births = count()

    def __init__(
        self,
        value: ArrayLike,
        name: str = "",
        operation: str = "variable",
        parents: tuple[Node, ...] = (),
        options: dict[str, Any] | None = None,
    ) -> None:
        self.value: NDArray[np.float64] = np.array(value, dtype=np.float64)
        self.value.flags.writeable = False
        self.name = name
        self.operation = operation
        self.parents = parents
        self.options = options or {}
        self.born = next(Node._births)

    def named(self, name: str) -> Node:
        """Give the node a name, and return it."""
        self.name = name
        return self

    def __repr__(self) -> str:
        """Describe this node and its operands, but not the graph behind the operands."""
        operation = formula(self, map(label, self.parents))
        return f"Node({self.name!r}, operation={operation!r}, value={brief(self.value)})"

    def __copy__(self) -> Node:
        """Return the node itself."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Node:
        """Return the node itself."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as a call of the class: the operands are unpickled, hence born, before the node."""
        return Node, (self.value, self.name, self.operation, self.parents, self.options)

    __add__, __radd__ = _infix("{} + {}")
    __sub__, __rsub__ = _infix("{} - {}")
    __mul__, __rmul__ = _infix("{} * {}")
    __truediv__, __rtruediv__ = _infix("{} / {}")
    __matmul__, __rmatmul__ = _infix("{} @ {}")

    def __neg__(self) -> Node:
        """Change the sign."""
        return _apply("-{}", self)

    def __pow__(self, k: float) -> Node:
        """Raise to the power k, a number (for a node k, write ``exp(k * log(x))``)."""
        return _apply("{} ** {k}", self, k=k) if isinstance(k, Real) else NotImplemented

    def __getitem__(self, index: Any) -> Node:
        """Pick entries, with any NumPy index."""
        return _apply("{}[index]", self, index=index)

    @property
    def T(self) -> Node:
        """The transpose; as in NumPy, the transpose of a vector is the vector."""
        return _apply("{}.T", self) if self.value.ndim > 1 else self

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Node:
        """Sum over an axis, several, or all."""
        return _apply("sum({})", self, axis=axis, keepdims=keepdims)


def exp(x: Node | ArrayLike) -> Node:
    """Exponential.

    Parameters
    ----------
    x : Node or array-like
        The operand, of any shape; numbers and arrays enter as constants.

    Returns
    -------
    Node
        The result, entry by entry.

    Examples
    --------
    >>> from gdlogit.graph import Node, backward, exp
    >>> x = Node(0.0, "x")
    >>> float(exp(x).value), float(backward(exp(x))[x])
    (1.0, 1.0)
    """
    return _apply("exp({})", x)


def log(x: Node | ArrayLike) -> Node:
    """Natural logarithm.

    Parameters
    ----------
    x : Node or array-like
        The operand, of any shape; numbers and arrays enter as constants.

    Returns
    -------
    Node
        The result, entry by entry.

    Examples
    --------
    >>> from gdlogit.graph import Node, backward, log
    >>> x = Node(1.0, "x")
    >>> float(log(x).value), float(backward(log(x))[x])
    (0.0, 1.0)
    """
    return _apply("log({})", x)


def sigmoid(x: Node | ArrayLike) -> Node:
    """Logistic function 1 / (1 + exp(-x)), which does not overflow.

    Parameters
    ----------
    x : Node or array-like
        The operand, of any shape; numbers and arrays enter as constants.

    Returns
    -------
    Node
        The result, entry by entry.

    Examples
    --------
    >>> from gdlogit.graph import Node, backward, sigmoid
    >>> x = Node(0.0, "x")
    >>> float(sigmoid(x).value), float(backward(sigmoid(x))[x])
    (0.5, 0.25)
    """
    return _apply("sigmoid({})", x)


def softplus(x: Node | ArrayLike) -> Node:
    """Evaluate log(1 + exp(x)) = -log sigmoid(-x), which does not overflow.

    Parameters
    ----------
    x : Node or array-like
        The operand, of any shape; numbers and arrays enter as constants.

    Returns
    -------
    Node
        The result, entry by entry.

    Examples
    --------
    >>> from gdlogit.graph import Node, backward, softplus
    >>> x = Node(1000.0, "x")
    >>> float(softplus(x).value), float(backward(softplus(x))[x])
    (1000.0, 1.0)
    """
    return _apply("softplus({})", x)


def logsumexp(x: Node | ArrayLike, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Node:
    """Evaluate log sum exp(x) over an axis, several, or all, which does not overflow.

    Parameters
    ----------
    x : Node or array-like
        The operand, of any shape; numbers and arrays enter as constants.
    axis : int, tuple of ints or None, default=None
        The axes to sum over; None is all of them.
    keepdims : bool, default=False
        Whether these axes stay, with length 1.

    Returns
    -------
    Node
        The result.

    Examples
    --------
    >>> from gdlogit.graph import Node, backward, logsumexp
    >>> x = Node([1000.0, 0.0], "x")
    >>> float(logsumexp(x).value), backward(logsumexp(x))[x].tolist()
    (1000.0, [1.0, 0.0])
    """
    return _apply("logsumexp({})", x, axis=axis, keepdims=keepdims)


def forward_order(output: Node) -> list[Node]:
    """List the nodes that ``output`` depends on, each after its operands, and ``output`` last."""
    reached, unexplored = {output}, [output]
    while unexplored:  # a loop, because a recursion overflows on a long chain
        found = set(unexplored.pop().parents) - reached
        reached |= found
        unexplored += found
    return sorted(reached, key=lambda node: node.born)  # an operand is born before the nodes that it enters


def _unbroadcast(derivative: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Sum over the axes that broadcasting has added or stretched."""
    padded = (1,) * (derivative.ndim - len(shape)) + shape
    stretched = tuple(axis for axis, n in enumerate(padded) if n != derivative.shape[axis])
    return derivative.sum(axis=stretched).reshape(shape)


def backward(output: Node, seed: ArrayLike | None = None) -> dict[Node, NDArray[np.float64]]:
    """Differentiate an output with respect to everything it depends on, by the chain rule.

    Parameters
    ----------
    output : Node
        The f of df/du: a scalar, or an array with a seed.
    seed : array-like, default=None
        df/df: an array of the shape of ``output``, which makes the result the derivatives of
        ``sum(seed * output)``.  None is 1, for a scalar.

    Returns
    -------
    derivatives : dict
        df/du, an array of the shape of u, for every node u except the constants.

    Raises
    ------
    ValueError
        If ``output`` is not a scalar and there is no seed, or the seed has another shape.

    Examples
    --------
    >>> x = Node(3.0, "x")
    >>> derivatives = backward(x * x + 2 * x)
    >>> float(derivatives[x])
    8.0
    """
    if seed is None and output.value.size != 1:
        raise ValueError(
            f"backward needs a scalar output, got one of shape {output.value.shape}: "
            "sum it, or pass seed=, an array of that shape"
        )
    start = np.ones(output.value.shape) if seed is None else np.array(seed, dtype=np.float64)
    if start.shape != output.value.shape:
        raise ValueError(f"seed must have the shape of the output, {output.value.shape}, got {start.shape}")

    order = forward_order(output)
    derivatives = {node: np.zeros(node.value.shape) for node in order if node.operation != "constant"}
    derivatives[output] = start
    for node in reversed(order):
        if node.parents:
            _, rule = OPERATIONS[node.operation]
            operands = (parent.value for parent in node.parents)
            terms = rule(derivatives[node], node.value, *operands, **node.options)
            for parent, term in zip(node.parents, terms, strict=True):
                if parent in derivatives:
                    derivatives[parent] += _unbroadcast(term, parent.value.shape)
    return derivatives


def formula(node: Node, operands: Iterable[str]) -> str:
    """The operation that made a node, with its operands written as given."""
    return node.operation.format(*operands, **node.options)


def label(node: Node) -> str:
    """How a formula shows a node that is an operand: by its name, its number, or the shape of its array."""
    return node.name or (brief(node.value) if node.value.size == 1 else f"array{node.value.shape}")


def brief(value: ArrayLike) -> str:
    """Write a value in one short line: its numbers if they are few, else its shape and range."""
    value = np.asarray(value) + 0.0  # no minus zero
    if value.size == 0:
        return f"{value.shape}"
    if value.size > 4:
        return f"{value.shape}: ".replace(", ", ",") + f"{value.min():.4g}..{value.max():.4g}"
    one_line = np.array2string(value, formatter={"float_kind": "{:.4g}".format}, max_line_width=1000)
    return one_line.replace("\n", "")
