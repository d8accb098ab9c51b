"""A forest plot: estimates with their intervals, one below the other, and the numbers beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .style import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

__all__ = ["draw_forest", "height_of"]

CLASS_SPREAD = 0.6  # the markers of one row's classes take this share of the distance between two rows
MOST_DECIMALS, LARGE_NUMBER = 5, 1e4  # a number with more decimals, or a larger one, is written as a power of ten
LOG_TICKS = (1.0, 2.0, 5.0)  # ticks of a decade, on an axis that is neither narrow nor wide
NARROW_AXIS, WIDE_AXIS = 4, 1e4  # upper end / lower end: below, a tick at each digit; above, at powers of ten only


def height_of(n_rows: int, n_classes: int) -> float:
    """The height of a figure with ``n_rows`` rows, in inches."""
    return 1.4 + n_rows * max(0.32, 0.16 * n_classes)


def draw_forest(
    ax: Axes,
    names: Sequence[str],
    classes: Sequence[Any],
    values: NDArray[np.float64],
    limits: NDArray[np.float64],
    is_ratio: bool,
) -> list[Line2D]:
    """Draw values (n_classes, n) with limits (n_classes, n, 2), the first on top; return the markers of each class."""
    place, k = np.arange(len(names))[::-1], len(classes)
    ax.axvline(1.0 if is_ratio else 0.0, color="0.3", linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    points: list[Line2D] = []
    for i, label in enumerate(classes):
        look = style(i) | {"linestyle": ""}
        height = place + CLASS_SPREAD * ((k - 1) / 2 - i) / k
        ax.hlines(height, limits[i, :, 0], limits[i, :, 1], color=look["color"], linewidth=1.6)
        points += ax.plot(values[i], height, label=f"{label}", markersize=6, **look)
    if is_ratio:
        _log_axis(ax)
    ax.set_yticks(place, names)
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.grid(axis="x", alpha=0.25)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)
    if k == 1:
        _write_numbers(ax, place, values[0], limits[0])
    else:
        ax.legend(title="class", loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
    return points


def _log_axis(ax: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    ax.set_xscale("log")
    low, high = ax.get_xlim()
    subs = range(1, 10) if high / low < NARROW_AXIS else LOG_TICKS if high / low < WIDE_AXIS else (1.0,)
    ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def _write_numbers(ax: Axes, place: NDArray[Any], values: NDArray[np.float64], limits: NDArray[np.float64]) -> None:
    """The estimates and their limits, right of the axes."""
    for y, value, (low, high) in zip(place, values, limits, strict=True):
        numbers = [_short(number, high - low) for number in (value, low, high)]
        text = "{}  [{}, {}]".format(*numbers)
        ax.annotate(text, (1.02, y), xycoords=("axes fraction", "data"), va="center", fontsize="small")


def _short(value: float, width: float) -> str:
    """A number, to two digits of half its interval's width and to two decimals at least; or as a power of ten."""
    decimals = 1 - int(np.floor(np.log10(width / 2))) if width > 0 else 2
    if decimals > MOST_DECIMALS or abs(value) >= LARGE_NUMBER:
        return f"{value:.2e}"
    return f"{value:.{max(2, decimals)}f}"
