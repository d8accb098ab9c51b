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

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import count
from numbers import Real
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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


# ---------------------------------------------------------------------------------------------------------
# The calculus
# ---------------------------------------------------------------------------------------------------------


def _sigmoid(x):
    small = np.exp(-np.abs(x))  # at most 1: no overflow at any score
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def _matmul_rule(df, f, x, y):
    # As NumPy does: a vector on the left is a row, a vector on the right is a column.
    row, column = x.ndim == 1, y.ndim == 1
    X = x[np.newaxis, :] if row else x
    Y = y[:, np.newaxis] if column else y
    dF = np.expand_dims(df, [axis for axis, absent in ((-2, row), (-1, column)) if absent])
    dX, dY = dF @ np.swapaxes(Y, -1, -2), np.swapaxes(X, -1, -2) @ dF
    return dX[..., 0, :] if row else dX, dY[..., 0] if column else dY


def _scatter(df, x, index):
    dx = np.zeros(x.shape)
    np.add.at(dx, index, df)  # adds up the entries that were picked twice
    return dx


def _spread(reduced, x, axis):
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
    "sigmoid({})": (_sigmoid, lambda df, f, x: (df * f * _sigmoid(-x),)),
    "softplus({})": (lambda x: np.logaddexp(0.0, x), lambda df, f, x: (df * _sigmoid(x),)),
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


# ---------------------------------------------------------------------------------------------------------
# The graph
# ---------------------------------------------------------------------------------------------------------


def _apply(operation: str, *operands: Node | ArrayLike, **options: Any) -> Node:
    """Go forward through one operation, leaving a node."""
    parents = tuple(x if isinstance(x, Node) else Node(x, operation="constant") for x in operands)
    forward, _ = OPERATIONS[operation]
    value = forward(*(parent.value for parent in parents), **options)
    return Node(value, operation=operation, parents=parents, options=options)


def _infix(operation: str) -> tuple[Callable[..., Node], Callable[..., Node]]:
    """Make the method of an infix operator, and its mirror for a number or an array on the left."""

    def method(self: Node, other: Node | ArrayLike) -> Node:
        return _apply(operation, self, other)

    def mirrored(self: Node, other: Node | ArrayLike) -> Node:
        return _apply(operation, other, self)

    return method, mirrored


class Node:
    """A value in the graph, and how it came about.

    Write formulas with ``+ - * / @ **``, ``-x``, ``x.T``, ``x[index]``, ``x.sum()`` and the functions of
    this module.  The numbers and arrays written into a formula enter as constants.

    Parameters
    ----------
    value : array-like
        A number or an array of any shape, copied to float64 and read-only from then on.
    name : str, default=""
        How `trace` and `draw` call the node.
    operation : str, default="variable"
        ``"variable"``, ``"constant"`` (no derivative is kept) or, as operations set it, a key of
        `OPERATIONS`.
    parents : tuple of Node, default=()
        The operands, in order; ``x * x`` has x twice.
    options : dict, default=None
        What the operation takes besides its operands: an axis, an index, an exponent.

    Notes
    -----
    A node holds no derivative: `backward` returns them all, so that nothing is left over from an earlier
    call.  A node is its identity (it is what derivatives are looked up by), hence a copy is the node itself.

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
        """Describe this node alone, however long the graph behind it."""
        return f"Node({self.name!r}, operation={self.operation!r}, value={_text(self.value)})"

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
        """The transpose; as in NumPy, a vector is its own."""
        return _apply("{}.T", self) if self.value.ndim > 1 else self

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Node:
        """Sum over an axis, several, or all."""
        return _apply("sum({})", self, axis=axis, keepdims=keepdims)


def exp(x: Node | ArrayLike) -> Node:
    """Exponential."""
    return _apply("exp({})", x)


def log(x: Node | ArrayLike) -> Node:
    """Natural logarithm."""
    return _apply("log({})", x)


def sigmoid(x: Node | ArrayLike) -> Node:
    """Logistic function 1 / (1 + exp(-x)), which does not overflow."""
    return _apply("sigmoid({})", x)


def softplus(x: Node | ArrayLike) -> Node:
    """Evaluate log(1 + exp(x)) = -log sigmoid(-x), which does not overflow."""
    return _apply("softplus({})", x)


def logsumexp(x: Node | ArrayLike, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Node:
    """Evaluate log sum exp(x) over an axis, several, or all, which does not overflow."""
    return _apply("logsumexp({})", x, axis=axis, keepdims=keepdims)


def _forward_order(output: Node) -> list[Node]:
    """List the nodes that ``output`` depends on, itself last, each after its operands."""
    reached, unexplored = {output}, [output]
    while unexplored:  # a loop, because a recursion overflows on a long chain
        found = set(unexplored.pop().parents) - reached
        reached |= found
        unexplored += found
    return sorted(reached, key=lambda node: node.born)  # operands are born before what they enter


def _unbroadcast(derivative: NDArray, shape: tuple[int, ...]) -> NDArray:
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
        df/du, an array of the shape of u, for every node u except the constants.  It is computed from zero
        in each call.

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
    seed = np.ones(output.value.shape) if seed is None else np.array(seed, dtype=np.float64)
    if seed.shape != output.value.shape:
        raise ValueError(f"seed must have the shape of the output, {output.value.shape}, got {seed.shape}")

    order = _forward_order(output)
    derivatives = {node: np.zeros(node.value.shape) for node in order if node.operation != "constant"}
    derivatives[output] = seed
    for node in reversed(order):
        if node.parents:
            _, rule = OPERATIONS[node.operation]
            operands = (parent.value for parent in node.parents)
            parts = rule(derivatives[node], node.value, *operands, **node.options)
            for parent, part in zip(node.parents, parts, strict=True):
                if parent in derivatives:
                    derivatives[parent] += _unbroadcast(part, parent.value.shape)
    return derivatives


# ---------------------------------------------------------------------------------------------------------
# The graph, shown
# ---------------------------------------------------------------------------------------------------------

FORWARD, BACKWARD = "#08306b", "#e6550d"  # dark and bright: apart in grey too


def _text(value: NDArray) -> str:
    """Write a value in one short line: its numbers if they are few, else its shape and range."""
    value = np.asarray(value) + 0.0  # no minus zero
    if value.size == 0:
        return f"{value.shape}"
    if value.size > 4:
        return f"{value.shape}: ".replace(", ", ",") + f"{value.min():.4g}..{value.max():.4g}"
    one_line = np.array2string(value, formatter={"float_kind": "{:.4g}".format}, max_line_width=1000)
    return one_line.replace("\n", "")


class _Row(NamedTuple):
    """What there is to say about a node."""

    label: str
    operation: str
    value: str
    derivative: str


def _rows(output: Node, seed: ArrayLike | None) -> dict[Node, _Row]:
    """Describe the nodes in forward order; unnamed constants appear only in the formulas they enter."""
    derivatives = backward(output, seed)
    order = _forward_order(output)
    numbers = count(1)
    labels = {}
    for node in order:
        if node.name:
            labels[node] = node.name
        elif node.operation == "constant":
            labels[node] = _text(node.value) if node.value.size == 1 else f"array{node.value.shape}"
        else:
            labels[node] = f"v{next(numbers)}"
    return {
        node: _Row(
            labels[node],
            node.operation.format(*(labels[parent] for parent in node.parents), **node.options),
            _text(node.value),
            f"d{labels[output]}/d{labels[node]} = {_text(derivatives[node])}" if node in derivatives else "",
        )
        for node in order
        if node.name or node.operation != "constant"
    }


def trace(output: Node, seed: ArrayLike | None = None) -> str:
    """Tabulate the nodes behind an output: name, operation, value, derivative.

    Parameters
    ----------
    output, seed
        As in `backward`.

    Returns
    -------
    table : str
        One line for each node, in forward order.  Nodes without a name are called v1, v2 and so on; arrays
        of more than four numbers show their shape and range.

    Examples
    --------
    >>> w = Node(0.5, "w")
    >>> print(trace(softplus(-3 * w).named("L")))
    node  operation     value   derivative
    w     variable      0.5     dL/dw = -0.5473
    v1    -3 * w        -1.5    dL/dv1 = 0.1824
    L     softplus(v1)  0.2014  dL/dL = 1
    """
    table = [("node", "operation", "value", "derivative"), *_rows(output, seed).values()]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table
    )


def _place(nodes: Collection[Node]) -> tuple[list[list[Any]], list[list[Any]], dict[Any, float]]:
    """Lay a graph out from left to right, in columns.

    A node stands one column right of its last operand, a leaf one column left of its first use.  An arrow
    over several columns holds a place ``(node, column)`` in those between, so that it crosses no box.

    Returns the columns, the arrows (each the places it visits) and the height of each place, where the
    places of a column are at least 1 apart.
    """
    edges = [(parent, node) for node in nodes for parent in dict.fromkeys(node.parents) if parent in nodes]
    column = dict.fromkeys(nodes, 0)
    for parent, node in edges:  # in forward order
        column[node] = max(column[node], column[parent] + 1)
    for leaf in column.keys() - {node for _, node in edges}:
        column[leaf] = min((column[node] - 1 for parent, node in edges if parent is leaf), default=0)

    arrows = [
        [parent, *((parent, between) for between in range(column[parent] + 1, column[node])), node]
        for parent, node in edges
    ]
    columns: list[list[Any]] = [[] for _ in range(max(column.values()) + 1)]
    for node in sorted(nodes, key=lambda node: not node.parents):  # results above leaves
        columns[column[node]].append(node)
    for place in dict.fromkeys(place for arrow in arrows for place in arrow[1:-1]):
        columns[place[1]].append(place)

    near: dict[Any, list[Any]] = {place: [] for places in columns for place in places}
    for arrow in arrows:
        for left, right in zip(arrow[:-1], arrow[1:], strict=True):
            near[left].append(right)
            near[right].append(left)

    height = {place: -float(i) for places in columns for i, place in enumerate(places)}
    for way in (1, -1) * 8:  # right and left again, until the arrows are about level and few of them cross
        for places in columns[::way]:
            wish = {place: np.mean([height[other] for other in near[place] or [place]]) for place in places}
            places.sort(key=lambda place: -wish[place])
            steps = np.arange(len(places))
            level = steps + [wish[place] for place in places]  # 1 apart if this never rises: make it so
            level = (np.minimum.accumulate(level) + np.maximum.accumulate(level[::-1])[::-1]) / 2
            height.update(zip(places, level - steps, strict=True))
    return columns, arrows, height


def draw(output: Node, ax: Axes | None = None, seed: ArrayLike | None = None) -> Axes:
    """Draw the graph behind an output with matplotlib, from left to right.

    Above each box stands the node's value (forward, dark blue), below it the derivative (backward, orange
    and italic).  Boxes of variables are shaded; boxes of constants are dashed.

    Parameters
    ----------
    output, seed
        As in `backward`.
    ax : matplotlib Axes, default=None
        Where to draw; text shrinks to fit.  None makes a figure of the size that the graph needs.

    Returns
    -------
    ax : matplotlib Axes

    Examples
    --------
    >>> x, y = Node(2, "x"), Node(5, "y")
    >>> ax = draw((x * y).named("f"))  # doctest: +SKIP
    """
    import matplotlib.pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.patches import FancyArrowPatch, Rectangle
    from matplotlib.path import Path

    rows = _rows(output, seed)
    columns, arrows, height = _place(rows)
    texts = {  # box, above, below
        node: (
            f"{row.label} = {row.operation}" if node.parents else row.label,
            fill(row.value, 18),
            fill(row.derivative, 18),
        )
        for node, row in rows.items()
    }

    # Lengths are characters across and lines down, in a monospaced font, so that no text can meet another.
    lines = [1 + max(text[side].count("\n") for text in texts.values()) for side in (1, 2)]
    tall, gap, legend = sum(lines) + 2.5, 4, 2
    left, spans = 1.0, {}
    for places in columns:
        width = 2 + max(len(line) for place in places for text in texts.get(place, ()) for line in text.split("\n"))
        spans |= {place: (left, left + width) for place in places}
        left += width + gap
    across, down = max(left - gap + 1, 50), tall * (max(height.values()) - min(height.values()) + 1) + legend

    em, leading, size = 0.65, 1.3, 9.0  # a character across and a line down, for a size of 1; points
    if ax is None:
        _, ax = plt.subplots(figsize=(across * em * size / 72, down * leading * size / 72))
        ax.set_position((0, 0, 1, 1))
    room = ax.get_window_extent().size / ax.figure.dpi * 72
    size = min(size, *(room / (across * em, down * leading)))
    font = {"family": "DejaVu Sans Mono", "size": size, "ha": "center"}
    top = tall * max(height.values()) + lines[0] + 1.25
    ax.set(xlim=(0, across), ylim=(top - down, top), aspect=leading / em)
    ax.set_axis_off()

    for node, (box, above, below) in texts.items():
        (left, right), y = spans[node], tall * height[node]
        x = (left + right) / 2
        face = "0.9" if node.operation == "variable" else "white"
        edge = "--" if node.operation == "constant" else "-"
        ax.add_patch(Rectangle((left, y - 0.75), right - left, 1.5, fc=face, ec="0.3", linestyle=edge))
        ax.text(x, y, box, va="center_baseline", **font)
        ax.text(x, y + 0.9, above, va="bottom", color=FORWARD, **font)
        ax.text(x, y - 0.9, below, va="top", color=BACKWARD, style="italic", **font)
    for arrow in arrows:
        corners = [(x, tall * height[place]) for place in arrow for x in spans[place]][1:-1]
        ax.add_patch(FancyArrowPatch(path=Path(corners), arrowstyle="-|>", mutation_scale=size, color="0.3"))

    keys = [
        Line2D([], [], linestyle="", marker="s", color=color, label=label)
        for label, color in (("value (forward)", FORWARD), ("derivative (backward)", BACKWARD))
    ]
    prop = {"family": font["family"], "size": size}
    ax.legend(handles=keys, loc="lower center", ncols=2, frameon=False, labelcolor="linecolor", prop=prop)
    return ax


# ---------------------------------------------------------------------------------------------------------
# One step of logistic regression
# ---------------------------------------------------------------------------------------------------------


class LogisticStep(NamedTuple):
    """The quantities of one step of logistic regression; printed, each stands beside its formula.

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

    def __str__(self) -> str:
        """Show each formula beside its numbers."""
        return f"""\
forward
  Z = w^T X + b                          {_text(self.z)}
  A = sigmoid(Z)                         {_text(self.a)}
  L = -(Y log A + (1 - Y) log(1 - A))    {_text(self.loss)}
  J = 1/m sum(L)                         {_text(self.cost)}
backward
  dA = -Y/A + (1 - Y)/(1 - A)            {_text(self.da)}
  dZ = dA * A(1 - A) = A - Y             {_text(self.dz)}
  dw = 1/m X (A - Y)^T                   {_text(self.dw)}
  db = 1/m sum(A - Y)                    {_text(self.db)}
update
  w := w - alpha dw                      {_text(self.w)}
  b := b - alpha db                      {_text(self.b)}"""


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
        The examples, one a column: scikit-learn's X, transposed.
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
    The graph, not the formulas, gives dz, dw and db.  It takes a detour around A: as log A = -softplus(-Z)
    and log(1 - A) = -softplus(Z), the loss of an example is softplus((1 - 2Y) Z), which has all its digits
    where A rounds to 0 or 1, and so have dz, dw and db.  Only da comes from its formula, with 1 - A =
    sigmoid(-Z); it is infinite where the derivative itself overflows (a wrong score beyond 709).

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
    a, one_minus_a = _sigmoid(Z.value), _sigmoid(-Z.value)
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
