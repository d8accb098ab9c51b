"""The graph, shown: a table and a picture."""

from __future__ import annotations

from collections.abc import Collection
from itertools import count
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .engine import Node, backward, brief, formula, forward_order, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw", "trace"]

FORWARD, BACKWARD = "#08306b", "#e6550d"  # one dark, one bright: they differ in grey, too


class _Row(NamedTuple):
    """The four texts that describe a node."""

    label: str
    operation: str
    value: str
    derivative: str


def _rows(output: Node, seed: ArrayLike | None) -> dict[Node, _Row]:
    """Describe the nodes in forward order; unnamed constants appear only in the formulas they enter."""
    derivatives = backward(output, seed)
    order = forward_order(output)
    numbers = count(1)
    labels = {}
    for node in order:
        labels[node] = label(node) if node.name or node.operation == "constant" else f"v{next(numbers)}"
    return {
        node: _Row(
            labels[node],
            formula(node, (labels[parent] for parent in node.parents)),
            brief(node.value),
            f"d{labels[output]}/d{labels[node]} = {brief(derivatives[node])}" if node in derivatives else "",
        )
        for node in order
        if node.name or node.operation != "constant"
    }


class Trace(str):
    """A table as text. At a prompt and in a notebook it shows its lines, not the quotes and escapes of a string."""

    def __repr__(self) -> str:
        return str(self)


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
    >>> from gdlogit.graph import softplus
    >>> w = Node(0.5, "w")
    >>> print(trace(softplus(-3 * w).named("L")))
    node  operation     value   derivative
    w     variable      0.5     dL/dw = -0.5473
    v1    -3 * w        -1.5    dL/dv1 = 0.1824
    L     softplus(v1)  0.2014  dL/dL = 1
    """
    table = [("node", "operation", "value", "derivative"), *_rows(output, seed).values()]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return Trace(
        "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table
        )
    )


def _place(nodes: Collection[Node]) -> tuple[list[list[Any]], list[list[Any]], dict[Any, float]]:
    """Lay a graph out from left to right, in columns.

    A node stands one column right of its last operand, a leaf one column left of its first use.  An arrow
    over several columns holds a place ``(node, column)`` in each column between, so that it crosses no box.

    Returns the columns, the arrows (each as the places it visits) and the height of each place.  The places
    of a column are at least 1 apart.
    """
    edges = [(parent, node) for node in nodes for parent in dict.fromkeys(node.parents) if parent in nodes]
    column = dict.fromkeys(nodes, 0)
    for parent, node in edges:  # in forward order
        column[node] = max(column[node], column[parent] + 1)
    for leaf in column.keys() - {node for _, node in edges}:
        column[leaf] = min((column[node] - 1 for parent, node in edges if parent is leaf), default=0)

    arrows: list[list[Any]] = [
        [parent, *((parent, between) for between in range(column[parent] + 1, column[node])), node]
        for parent, node in edges
    ]
    columns: list[list[Any]] = [[] for _ in range(max(column.values()) + 1)]
    for node in sorted(nodes, key=lambda node: not node.parents):  # results above leaves
        columns[column[node]].append(node)
    for place in dict.fromkeys(place for arrow in arrows for place in arrow[1:-1]):
        columns[place[1]].append(place)

    neighbours: dict[Any, list[Any]] = {place: [] for places in columns for place in places}
    for arrow in arrows:
        for left, right in zip(arrow[:-1], arrow[1:], strict=True):
            neighbours[left].append(right)
            neighbours[right].append(left)

    height = {place: -float(i) for places in columns for i, place in enumerate(places)}
    for way in (1, -1) * 8:  # right and left again, until the arrows are about level and few of them cross
        for places in columns[::way]:
            wish = {place: np.mean([height[other] for other in neighbours[place] or [place]]) for place in places}
            places.sort(key=lambda place: -wish[place])
            steps = np.arange(len(places))
            level = steps + [wish[place] for place in places]  # places are 1 apart if ``level`` never rises
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
        Where to draw; the text shrinks to fit.  None makes a figure of the size that the graph needs.

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

    # Lengths are characters across and lines down, in a monospaced font, so that no two texts can overlap.
    lines = [1 + max(text[side].count("\n") for text in texts.values()) for side in (1, 2)]
    tall, gap, legend = sum(lines) + 2.5, 4, 2
    left, spans = 1.0, dict[Any, tuple[float, float]]()
    for places in columns:
        width = 2 + max(len(line) for place in places for text in texts.get(place, ()) for line in text.split("\n"))
        spans |= {place: (left, left + width) for place in places}
        left += width + gap
    across, down = max(left - gap + 1, 50), tall * (max(height.values()) - min(height.values()) + 1) + legend

    em, leading, size = 0.65, 1.3, 9.0  # a character across and a line down, for a size of 1; points
    if ax is None:
        _, ax = plt.subplots(figsize=(across * em * size / 72, down * leading * size / 72))
        ax.set_position((0, 0, 1, 1))
    extent = ax.get_window_extent()
    room = np.array([extent.width, extent.height]) / ax.figure.dpi * 72
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
