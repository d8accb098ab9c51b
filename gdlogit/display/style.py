"""The look of the pictures: curves differ in hue and lightness, and in marker and dash for readers who see no colour.

References
----------
Okabe and Ito, "Color universal design" (2008): the colours.
"""

from types import ModuleType
from typing import Any

__all__ = ["pyplot", "style"]

COLORS = ("black", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "v", "D", "^", "X", "P", "*", "<", ">")
DASHES: tuple[Any, ...] = ("-", "--", "-.", (0, (1, 1)))


def pyplot(who: str) -> ModuleType:
    """matplotlib.pyplot, imported only when something is drawn."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(f"{who} draws with matplotlib: pip install 'gdlogit[plot]'.") from error
    return plt


def style(i: int) -> dict[str, Any]:
    """The i-th style of a curve. No two of the first 70 styles are alike."""
    return {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)], "linestyle": DASHES[i % len(DASHES)]}
