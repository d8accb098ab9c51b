"""What pictures over C share: the axes, the marks of the choices, and the numbers of nonzeros along the top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..typing import Floats
from .style import pyplot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CHOICES", "C_AXIS", "counts_on_top", "grid_of", "mark", "new_axes", "row_of"]

MOST_COUNTS = 8  # numbers of nonzeros along the top: more would overlap
CHOICES = {"C_1se_": (":", "one standard error"), "C_best_": ("--", "best")}
C_AXIS = "C (further right, the penalty is weaker)"


def row_of(model: Any, l1_ratio: float | None) -> int:
    """The index of an l1_ratio among the model's; None is the chosen one."""
    l1_ratio = model.l1_ratio_ if l1_ratio is None else l1_ratio
    rows = np.flatnonzero(np.isclose(model.l1_ratios_, l1_ratio))
    if not len(rows):
        raise ValueError(f"l1_ratio must be one of l1_ratios_, {model.l1_ratios_.tolist()}; got {l1_ratio!r}.")
    return int(rows[0])


def grid_of(model: Any) -> Floats:
    """The values of C for each l1_ratio."""
    return np.broadcast_to(model.Cs_, model.n_nonzero_path_.shape)


def new_axes(who: str) -> Axes:
    """Axes of a new figure."""
    _, ax = pyplot(who).subplots(figsize=(7.2, 4.4), layout="constrained")
    return ax


def counts_on_top(ax: Axes, Cs: Floats, n_nonzero: NDArray[Any]) -> None:
    """The numbers of nonzeros along the top, as glmnet's plots have them."""
    shown = np.unique(np.linspace(0, len(Cs) - 1, min(MOST_COUNTS, len(Cs))).round().astype(int))
    top = ax.secondary_xaxis("top")
    top.set_xticks(Cs[shown], [str(n) for n in n_nonzero[shown]])
    top.tick_params(which="minor", top=False)
    top.set_xlabel("features with a nonzero coefficient")


def mark(ax: Axes, choices: dict[str, float]) -> None:
    """Vertical lines at the values of C that the rules choose, with a legend."""
    for name, C in choices.items():
        dash, text = CHOICES[name]
        ax.axvline(C, color="0.2", linestyle=dash, linewidth=1.2, label=f"{text}: C = {C:.3g}")
    handles = [
        line for line in ax.get_lines() if str(line.get_label()).split(":")[0] in {t for _, t in CHOICES.values()}
    ]
    if handles:
        ax.legend(handles=handles, loc="best")
