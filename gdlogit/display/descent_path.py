"""Contours of J over two coefficients, and the paths of batch, accelerated, stochastic and Newton descent."""

from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from ..estimators.validation import generator
from ..objective import Objective
from ..problem import Problem
from ..solve import SOLVERS, Settings, method_of
from .style import pyplot, style

__all__ = ["DescentPathDisplay"]

ROUNDING = 1e-16  # rounding of a J of about 1: a path that ends nearer to the minimum cannot be told from the minimum


class DescentPathDisplay:
    """Contours of J over two coefficients, and the paths of the solvers.

    Parameters
    ----------
    paths : dict of str to ndarray of shape (n_points, 2)
        The two coefficients along the path of each solver: the start, each point at which a gradient was used (for
        "sgd", one per batch), and the end.
    excess : dict of str to float
        J - min J at the end of each path.
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
    >>> display = DescentPathDisplay.from_estimator(model, X[:, :2], y, solvers=("gd", "auto"), resolution=10)
    >>> bool(display.excess["auto"] < 1e-8 < display.excess["gd"])
    True
    """

    def __init__(self, *, paths, excess, minimum, grid, heights, feature_names):
        self.paths = paths
        self.excess = excess
        self.minimum = minimum
        self.grid = grid
        self.heights = heights
        self.feature_names = feature_names

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        features=(0, 1),
        solvers=("sgd", "gd", "nesterov", "auto"),
        n_iter=20,
        resolution=60,
        ax=None,
    ):
        """Run the solvers and draw their paths.

        Parameters
        ----------
        estimator : GDLogisticRegression
            Gives C, l1_ratio, fit_intercept, learning_rate, batch_size, tol and random_state. Need not be fitted.
        X : array-like of shape (n_samples, n_features)
            The rows. Use few: J is computed at resolution * resolution points.
        y : array-like of shape (n_samples,)
            Labels of two classes.
        features : tuple of two ints, default=(0, 1)
            The two features whose coefficients span the picture.
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
            If y does not have two classes, or a solver is unknown.
        """
        names = getattr(X, "columns", [f"x{j}" for j in range(np.shape(X)[1])])
        objective = objective_of(estimator, X, y)
        paths = {solver: trace_path(make_method(estimator, solver, objective), objective, n_iter) for solver in solvers}
        minimum = trace_path(make_method(estimator, "auto", objective), objective, 100)[-1]
        least = objective.at(minimum).value
        features = list(features)
        grid = grid_around(np.vstack([minimum[None], *paths.values()])[:, features, 0], resolution)
        display = cls(
            paths={solver: path[:, features, 0] for solver, path in paths.items()},
            excess={solver: float(objective.at(path[-1]).value - least) for solver, path in paths.items()},
            minimum=minimum[features, 0],
            grid=grid,
            heights=np.maximum(slice_of(objective, minimum, features, grid) - least, 0),
            feature_names=tuple(f"{names[j]}" for j in features),
        )
        return display.plot(ax)

    def plot(self, ax=None):
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
        self.ax_, self.figure_, self.lines_ = ax, ax.figure, {}
        levels = self.heights.max() * np.geomspace(1e-4, 0.9, 12)
        self.contours_ = ax.contour(*self.grid, self.heights, levels, colors="0.6", linewidths=0.7)
        ax.clabel(self.contours_, levels[1::2], fmt="%.1g", fontsize=7)
        for i, (solver, path) in enumerate(self.paths.items()):
            label = f"{solver}, {max(self.excess[solver], ROUNDING):.0e}"
            many = len(path) > 100  # with a step per row, a cloud of markers would hide the path
            looks = style(i) | {"linestyle": "-"} | ({"marker": "", "linewidth": 0.6} if many else {})
            (self.lines_[solver],) = ax.plot(*path.T, label=label, markersize=5, **looks)
        star = {"color": "gold", "markeredgecolor": "black", "markersize": 14, "linestyle": ""}
        ax.plot(*self.minimum, marker="*", label="minimum", zorder=4, **star)
        ax.set(xlabel=f"coefficient of {self.feature_names[0]}", ylabel=f"coefficient of {self.feature_names[1]}")
        title = "contours: J - min J; solvers: J - min J at the end"
        ax.legend(title=title, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8, title_fontsize=8)
        return self

    def frame(self):
        """The paths as a pandas DataFrame: one column for each of the two coefficients, then solver and point."""
        import pandas as pd

        parts = [
            pd.DataFrame(path, columns=self.feature_names).assign(solver=solver, point=range(len(path)))
            for solver, path in self.paths.items()
        ]
        return pd.concat(parts, ignore_index=True)


def objective_of(estimator, X, y):
    """The objective of the estimator on two classes."""
    X, y = check_array(X, dtype=np.float64, input_name="X"), column_or_1d(y)
    check_consistent_length(X, y)
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) != 2:
        raise ValueError(f"y must have two classes; got {len(classes)}.")
    terms = {"C": estimator.C, "l1_ratio": estimator.l1_ratio, "intercept": estimator.fit_intercept}
    return Objective(*Problem.of(X, codes, np.ones(len(y)), 2, **terms))


def make_method(estimator, solver, objective):
    """The method of a solver, with the parameters of the estimator and its own random numbers."""
    if solver not in SOLVERS:
        raise ValueError(f"solvers must be among {SOLVERS}; got {solver!r}.")
    settings = Settings(solver, estimator.tol, learning_rate=estimator.learning_rate, batch_size=estimator.batch_size)
    return method_of(settings, objective, generator(estimator.random_state))


def trace_path(method, objective, n_iter):
    """Theta at the start, in every batch, and after every iteration, from the origin; shape (n_points, p + 1, 1)."""
    path = [np.zeros(objective.shape)]
    objective = _Batchwise(objective, path)
    state = method.start(objective, path[0])
    for _ in range(n_iter):
        state = method.step(objective, state)
        path.append(state.point.theta)
        if state.excess <= 1e-12 or state.rate == 0:
            break
    return np.array(path)


class _Batchwise(Objective):
    """An objective that records every theta at which the gradient of a batch is taken."""

    def __init__(self, objective, path):
        super().__init__(objective.rows, objective.loss, objective.penalty)
        self.path = path

    def batches(self, size, rng):
        for part in super().batches(size, rng):
            yield _Noted(part, self.path)


class _Noted(NamedTuple):
    """The part of a batch's objective that stochastic descent uses: J and dJ."""

    part: Objective
    path: list

    def at(self, theta):
        self.path.append(theta)
        return self.part.at(theta)


def grid_around(points, resolution):
    """Values of the first and of the second coordinate that span all points, with a margin."""
    span = np.ptp(points, axis=0)
    margin = np.where(span > 0, 0.1 * span, 1.0)  # with a strong l1 penalty all points may be the origin
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
