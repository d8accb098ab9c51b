"""Contours of J over two coefficients, and the paths of batch, accelerated, stochastic and Newton descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from ..estimators.pipelines import unwrapped
from ..estimators.validation import generator
from ..objective import Objective
from ..problem import Problem
from ..solve import SOLVERS, Settings, method_of
from ..typing import Matrix, Solver
from .style import pyplot, style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.contour import QuadContourSet
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["DescentPathDisplay"]

# The rounding of a J of about 1. No path is known to end nearer to the minimum than that.
LEAST_SHOWN_EXCESS = 1e-16


class DescentPathDisplay:
    """Contours of J over two coefficients, and the paths of the solvers.

    Parameters
    ----------
    paths : dict of str to ndarray of shape (n_points, 2)
        The two coefficients along the path of each solver: the start, each point at which a gradient was used (for
        "sgd", one per batch), and the end.
    excess : dict of str to float
        J - min J at the end of each path. Where J overflows, the excess is infinite and the path ends before that
        point.
    minimum : ndarray of shape (2,)
        The two coefficients at the minimum.
    grid : tuple of ndarrays of shape (resolution,)
        Values of the first and of the second coefficient.
    heights : ndarray of shape (resolution, resolution)
        J - min J on that grid, the first coefficient along the columns. The other parameters are those of the minimum.
    feature_names : tuple of str
        Names of the features of the two coefficients.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes and figure with the paths.
    contours_ : matplotlib QuadContourSet
        The contours.
    lines_ : dict of str to matplotlib Line2D
        The paths, by solver.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from gdlogit import DescentPathDisplay, GDLogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = GDLogisticRegression(batch_size=8, random_state=0)
    >>> solvers = "gd", "auto"
    >>> display = DescentPathDisplay.from_estimator(model, X[:, :2], y, solvers=solvers, resolution=10)
    >>> bool(display.excess["auto"] < 1e-8 < display.excess["gd"])
    True
    """

    ax_: Axes
    figure_: Figure
    contours_: QuadContourSet
    lines_: dict[str, Line2D]

    def __init__(
        self,
        *,
        paths: Mapping[str, NDArray[np.float64]],
        excess: Mapping[str, float],
        minimum: NDArray[np.float64],
        grid: tuple[NDArray[np.float64], ...],
        heights: NDArray[np.float64],
        feature_names: tuple[str, ...],
    ) -> None:
        self.paths = paths
        self.excess = excess
        self.minimum = minimum
        self.grid = grid
        self.heights = heights
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Matrix,
        y: ArrayLike,
        *,
        features: Sequence[int | str] = (0, 1),
        solvers: Sequence[Solver] = ("sgd", "gd", "nesterov", "auto"),
        n_iter: int = 20,
        resolution: int = 60,
        ax: Axes | None = None,
    ) -> Self:
        """Run the solvers and draw their paths.

        Parameters
        ----------
        estimator : GDLogisticRegression, or a Pipeline or a search that ends in one
            Gives C, l1_ratio, fit_intercept, learning_rate, batch_size, tol and random_state. The estimator need not be
            fitted. The other steps of a Pipeline transform X; if they are not fitted, copies of them are fitted to X
            and y.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows. Use few: J is computed at resolution * resolution points.
        y : array-like of shape (n_samples,)
            Labels of two classes.
        features : two ints or names, default=(0, 1)
            The two features whose coefficients span the picture, by index, or by name if X or the Pipeline's steps give
            names.
        solvers : sequence of str, default=("sgd", "gd", "nesterov", "auto")
            The solvers to run.
        n_iter : int, default=20
            Iterations of each solver: steps, or epochs of "sgd". "auto" stops at the minimum.
        resolution : int, default=60
            Points of the grid along each axis.
        ax : matplotlib Axes, default=None
            Axes to draw on. Default: a new figure.

        Returns
        -------
        DescentPathDisplay

        Raises
        ------
        ValueError
            If y does not have two classes, a solver is unknown, or ``features`` are not two of the features.
        """
        found = unwrapped(estimator).fitted(X, y)
        model = found.model
        objective = objective_of(model, found.transform(X), y)
        names = found.feature_names(X) or [f"x{j}" for j in range(objective.shape[0] - 1)]
        indices = two_features(features, names)
        minimum = trace_path(make_method(model, "auto", objective), objective, 100)[-1]
        lowest = objective.at(minimum).value
        with np.errstate(over="ignore", invalid="ignore"):  # a path that diverges may overflow
            full = {solver: trace_path(make_method(model, solver, objective), objective, n_iter) for solver in solvers}
            ends = {solver: objective.at(path[-1]).value for solver, path in full.items()}
            paths = {solver: path[: n_finite(objective, path)] for solver, path in full.items()}
        grid = grid_around(np.vstack([minimum[None], *paths.values()])[:, indices, 0], resolution)
        display = cls(
            paths={solver: path[:, indices, 0] for solver, path in paths.items()},
            excess={solver: float(end - lowest) if np.isfinite(end) else np.inf for solver, end in ends.items()},
            minimum=minimum[indices, 0],
            grid=grid,
            heights=np.maximum(slice_of(objective, minimum, indices, grid) - lowest, 0),
            feature_names=tuple(names[j] for j in indices),
        )
        return display.plot(ax)

    def plot(self, ax: Axes | None = None) -> Self:
        """Draw the contours, the paths over them, and the minimum.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on. Default: a new figure.

        Returns
        -------
        DescentPathDisplay
            self.
        """
        plt = pyplot("DescentPathDisplay")
        ax = plt.subplots(figsize=(6.4, 5.6), layout="constrained")[1] if ax is None else ax
        self.ax_, self.figure_, self.lines_ = ax, ax.figure.figure, {}
        levels = self.heights.max() * np.geomspace(1e-4, 0.9, 12)
        self.contours_ = ax.contour(*self.grid, self.heights, levels, colors="0.6", linewidths=0.7)
        ax.clabel(self.contours_, levels[1::2], fmt="%.1g", fontsize=7)
        for i, (solver, path) in enumerate(self.paths.items()):
            excess = max(self.excess[solver], LEAST_SHOWN_EXCESS)
            label = f"{solver}, {excess:.0e}" if np.isfinite(excess) else f"{solver}, diverged"
            is_long = len(path) > 100  # with a step per row, a cloud of markers would hide the path
            look = style(i) | {"linestyle": "-"} | ({"marker": "", "linewidth": 0.6} if is_long else {})
            (self.lines_[solver],) = ax.plot(*path.T, label=label, markersize=5, **look)
        star: dict[str, Any] = {"color": "gold", "markeredgecolor": "black", "markersize": 14, "linestyle": ""}
        ax.plot(*self.minimum, marker="*", label="minimum", zorder=4, **star)
        ax.set(xlabel=f"coefficient of {self.feature_names[0]}", ylabel=f"coefficient of {self.feature_names[1]}")
        title = "objective J above its minimum: of each contour, and at the end of each path"
        ax.legend(title=title, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8, title_fontsize=8)
        return self

    def frame(self) -> pd.DataFrame:
        """The paths as a pandas DataFrame: one column for each of the two coefficients, then solver and point."""
        import pandas as pd

        frames = [
            pd.DataFrame(path, columns=self.feature_names).assign(solver=solver, point=range(len(path)))
            for solver, path in self.paths.items()
        ]
        return pd.concat(frames, ignore_index=True)


def two_features(features: Sequence[int | str], names: list[str]) -> list[int]:
    """The indices of two features, each given by its index or its name."""
    n = len(names)
    index: dict[int | str, int] = {name: j for j, name in enumerate(names)} | {j: j % n for j in range(-n, n)}
    found = [index[feature] for feature in features if feature in index]
    if len(found) != 2 or len(features) != 2:
        first_names = f"{names[:10]}"[1:-1] + (", ..." if n > 10 else "")
        raise ValueError(
            f"features must be two of the indices below {n} or of the names {first_names}; got {features!r}."
        )
    return found


def objective_of(estimator, X, y):
    """The objective of the estimator on two classes."""
    X, y = check_array(X, accept_sparse="csr", dtype=np.float64, input_name="X"), column_or_1d(y)
    check_consistent_length(X, y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) != 2:
        raise ValueError(f"y must have two classes; got {len(classes)}.")
    terms = {"C": estimator.C, "l1_ratio": estimator.l1_ratio, "intercept": estimator.fit_intercept}
    problem = Problem.of(X, codes, np.ones(len(y)), 2, **terms)
    return Objective(problem.rows, problem.loss, problem.penalty)


def make_method(estimator, solver, objective):
    """The method of a solver, with the parameters of the estimator and its own random numbers."""
    if solver not in SOLVERS:
        raise ValueError(f"solvers must be among {SOLVERS}; got {solver!r}.")
    settings = Settings(solver, estimator.tol, learning_rate=estimator.learning_rate, batch_size=estimator.batch_size)
    return method_of(settings, objective, generator(estimator.random_state))


def trace_path(method, objective, n_iter):
    """Theta at the origin, at every batch, and after every iteration; shape (n_points, p + 1, 1)."""
    path = [np.zeros(objective.shape)]
    objective = _RecordingObjective(objective, path)
    state = method.start(objective, path[0])
    for _ in range(n_iter):
        state = method.step(objective, state)
        path.append(state.point.theta)
        if state.excess <= 1e-12 or state.rate == 0:
            break
    return np.array(path)


def n_finite(objective, path):
    """How many points of a path come before the first one where J overflows."""
    overflows = [not np.isfinite(objective.at(theta).value) for theta in path]
    return overflows.index(True) if any(overflows) else len(path)


class _RecordingObjective(Objective):
    """An objective that records every theta at which the gradient of a batch is taken."""

    def __init__(self, objective, path):
        super().__init__(objective.rows, objective.loss, objective.penalty)
        self.path = path

    def batches(self, size, rng):
        for batch in super().batches(size, rng):
            yield _RecordingBatch(batch, self.path)


class _RecordingBatch(NamedTuple):
    """The objective of a batch, with the one method that stochastic descent uses: J and dJ."""

    batch: Objective
    path: list

    def at(self, theta):
        self.path.append(theta)
        return self.batch.at(theta)


def grid_around(points, resolution):
    """Values of the first and of the second coordinate that cover all points, with a margin."""
    extent = np.ptp(points, axis=0)
    margin = np.where(extent > 0, 0.1 * extent, 1.0)  # with a strong l1 penalty all points may be the origin
    ends = zip(points.min(axis=0) - margin, points.max(axis=0) + margin, strict=True)
    return tuple(np.linspace(*pair, resolution) for pair in ends)


def slice_of(objective, theta, features, grid):
    """J on a grid of two coefficients, with the others as in theta; shape (resolution, resolution)."""
    theta = theta.copy()
    heights = np.empty((len(grid[1]), len(grid[0])))
    for row, second in enumerate(grid[1]):
        for column, first in enumerate(grid[0]):
            theta[features, 0] = first, second
            heights[row, column] = objective.at(theta).value
    return heights
