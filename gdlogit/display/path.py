"""The coefficients of a path over C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ..estimators.pipelines import unwrapped
from ..typing import Floats
from .over_c import C_AXIS, CHOICES, counts_on_top, grid_of, mark, new_axes, row_of
from .style import style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["RegularizationPathDisplay"]

LABEL_DISTANCE = 0.045  # share of the axes' height: labels nearer to each other are moved apart


class RegularizationPathDisplay:
    """The coefficients of a path over C, by name.

    Parameters
    ----------
    Cs : ndarray of shape (n_cs,)
        The values of C.
    coef : ndarray of shape (n_cs, n_features)
        The coefficients of one score at each C.
    n_nonzero : ndarray of shape (n_cs,)
        How many features have a nonzero coefficient.
    feature_names : ndarray of shape (n_features,)
        Names of the features.
    choices : dict
        The values of C to mark, by the name of their attribute: ``"C_best_"``, ``"C_1se_"``.
    label : str
        What the coefficients change.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes and figure with the path.
    lines_ : list of matplotlib Line2D
        One line for each feature, the named features first.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from gdlogit import GDLogisticRegressionCV, RegularizationPathDisplay
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> model = GDLogisticRegressionCV(Cs=20).fit(X, y)
    >>> display = RegularizationPathDisplay.from_estimator(model, k=2)
    >>> [line.get_label() for line in display.lines_[:2]]
    ['fractal dimension error', 'concave points error']
    """

    ax_: Axes
    figure_: Figure
    lines_: list[Line2D]

    def __init__(
        self,
        *,
        Cs: Floats,
        coef: Floats,
        n_nonzero: NDArray[Any],
        feature_names: NDArray[Any],
        choices: dict[str, float],
        label: str,
    ) -> None:
        self.Cs, self.coef, self.n_nonzero = Cs, coef, n_nonzero
        self.feature_names, self.choices, self.label = feature_names, choices, label

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        x: Literal["C", "l1_norm"] = "C",
        l1_ratio: float | None = None,
        label: Any = None,
        feature_names: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        k: int = 10,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the path of a fitted GDLogisticRegressionCV.

        Parameters
        ----------
        estimator : GDLogisticRegressionCV, or a Pipeline or a search that ends in one
            A fitted estimator.
        x, k, ax
            As in ``plot``.
        l1_ratio : float, default=None
            A value of ``l1_ratios_``. None is ``l1_ratio_``.
        label : label of a class, default=None
            The class whose score is drawn. None is the last of two classes, or the first of three or more.
        feature_names : array-like of shape (n_features,), default=None
            Names of the features. Default: those of the fit, or of the Pipeline's steps; otherwise x0, x1, ...
        scale : array-like of shape (n_features,), default=None
            What to multiply the coefficients by, such as the features' standard deviations: they can then be compared.

        Returns
        -------
        RegularizationPathDisplay

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the estimator has no such l1_ratio, or no such class.
        """
        found = unwrapped(estimator)
        model = found.model
        check_is_fitted(model)
        r = row_of(model, l1_ratio)
        coef = model.coef_path_[r]
        classes = model.classes_[1:] if coef.shape[1] == 1 else model.classes_
        label = classes[0] if label is None else label
        if label not in classes:
            raise ValueError(f"label must be one of {classes.tolist()}; got {label!r}.")
        coef = coef[:, int(np.flatnonzero(classes == label)[0])]
        names = found.feature_names() if feature_names is None else feature_names
        names = [f"x{j}" for j in range(coef.shape[1])] if names is None else names
        return cls(
            Cs=grid_of(model)[r],
            coef=coef if scale is None else coef * np.asarray(scale),
            n_nonzero=model.n_nonzero_path_[r],
            feature_names=np.asarray(names),
            choices={name: getattr(model, name) for name in CHOICES},
            label=str(label),
        ).plot(ax, x=x, k=k)

    def plot(self, ax: Axes | None = None, *, x: Literal["C", "l1_norm"] = "C", k: int = 10) -> Self:
        """Draw the path.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. Default: a new figure.
        x : {"C", "l1_norm"}, default="C"
            What to draw the coefficients over: C, or the sum of their absolute values.
        k : int, default=10
            Number of features to name: the features with the largest nonzero coefficients at the last C. The lines of
            the other features are thin and grey.

        Returns
        -------
        RegularizationPathDisplay
            self.
        """
        if x not in ("C", "l1_norm"):
            raise ValueError(f'x must be "C" or "l1_norm"; got {x!r}.')
        ax = new_axes("RegularizationPathDisplay") if ax is None else ax
        self.ax_, self.figure_ = ax, ax.figure.figure
        reached = np.isfinite(self.coef).all(axis=1)
        at, coef = (self.Cs if x == "C" else np.abs(self.coef).sum(axis=1))[reached], self.coef[reached]
        order = np.argsort(-np.abs(coef[-1]), kind="stable")
        named = order[:k][coef[-1, order[:k]] != 0]
        others = np.setdiff1d(order, named)
        ax.axhline(0, color="0.3", linewidth=0.8)
        other_lines = [line for j in others for line in ax.plot(at, coef[:, j], color="0.75", linewidth=0.6)]
        self.lines_ = []
        for i, j in enumerate(named):
            look = style(i) | {"markevery": (i, max(1, len(at) // 6)), "markersize": 4}
            self.lines_ += ax.plot(at, coef[:, j], label=str(self.feature_names[j]), **look)
        self.lines_ += other_lines
        along = C_AXIS if x == "C" else "sum of the absolute coefficients"
        how_many = f"\n{len(named)} of {len(order)} features are named" if len(named) < len(order) else ""
        ax.set(xlabel=along + how_many, ylabel=f"coefficient, for class {self.label}")
        marks = self.choices if x == "C" else {}
        if x == "C":
            ax.set_xscale("log")
            counts_on_top(ax, at, self.n_nonzero[reached])
        ax.margins(x=0.02)
        mark(ax, marks)
        name_ends(ax, at[-1], coef[-1, named], self.feature_names[named])
        ax.grid(alpha=0.25)
        return self

    def frame(self) -> pd.DataFrame:
        """The path as a pandas DataFrame: columns C, n_nonzero, and one for each feature."""
        import pandas as pd

        frame = pd.DataFrame(self.coef, columns=self.feature_names)
        frame.insert(0, "C", self.Cs)
        frame.insert(1, "n_nonzero", self.n_nonzero)
        return frame


def name_ends(ax: Axes, x: float, ends: Floats, names: NDArray[Any]) -> None:
    """Write the names right of the lines' ends, moved apart where they would cover each other."""
    low, high = ax.get_ylim()
    order = np.argsort(ends)
    place = ((ends[order] - low) / (high - low)).astype(float)
    for i in range(1, len(place)):
        place[i] = max(place[i], place[i - 1] + LABEL_DISTANCE)
    if len(place) and place[-1] > 1:  # too high: push down from the top
        place[-1] = 1.0
        for i in range(len(place) - 2, -1, -1):
            place[i] = min(place[i], place[i + 1] - LABEL_DISTANCE)
    for height, j in zip(place, order, strict=True):
        ax.annotate(
            str(names[j]),
            (x, ends[j]),
            xytext=(1.02, height),
            textcoords="axes fraction",
            va="center",
            fontsize="small",
            arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.6},
        )
