"""Displays: the data they show are the fit's, and what they draw is the data."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import log_loss
from sklearn.preprocessing import scale

from gdlogit import CoefficientDisplay, DescentPathDisplay, GDLogisticRegression, LossCurveDisplay

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _no_window():
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def cancer():
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    return X, y


@pytest.fixture(scope="module")
def fitted(cancer):
    return GDLogisticRegression(random_state=0).fit(*cancer)


def test_the_loss_curve_drawn_is_the_fits(fitted):
    display = LossCurveDisplay.from_estimator(fitted)
    (line,) = display.lines_
    np.testing.assert_array_equal(line.get_ydata(), fitted.loss_curve_)
    np.testing.assert_array_equal(line.get_xdata(), 1 + np.arange(fitted.n_iter_[0]))
    assert display.ax_.figure is display.figure_
    assert display.ax_.get_title() == "solver='auto'"
    frame = display.frame()
    assert list(frame) == ["name", "iteration", "training"]
    np.testing.assert_array_equal(frame["training"], fitted.loss_curve_)


def test_the_gap_drawn_bounds_the_distance_to_the_minimum(cancer):
    X, y = scale(cancer[0]), cancer[1]
    models = {tol: GDLogisticRegression(tol=float(tol)).fit(X, y) for tol in ("1e-1", "1e-3", "1e-10")}
    minimum = models["1e-10"].loss_curve_[-1]
    for name, model in models.items():
        (line,) = LossCurveDisplay.from_estimator(model, name=name, gap=True).lines_
        assert (line.get_ydata() >= model.loss_curve_ - minimum - 1e-15).all()
    lines = LossCurveDisplay.from_estimators(models, gap=True).lines_
    for line, model in zip(lines, models.values(), strict=True):  # the best bound serves all
        np.testing.assert_allclose(line.get_ydata(), model.loss_curve_ - minimum, atol=1e-9)


def test_validation_is_a_second_curve(fitted):
    curve = fitted.loss_curve_
    display = LossCurveDisplay(curves={"a": curve}, gaps={"a": np.inf}, validation={"a": 2 * curve}).plot()
    assert [line.get_label() for line in display.lines_] == ["a, training", "a, validation"]
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), 2 * curve)
    np.testing.assert_array_equal(display.frame()["validation"], 2 * curve)


def test_a_gap_that_nobody_knows_is_not_drawn():
    display = LossCurveDisplay(curves={"a": np.ones(2)}, gaps={"a": np.inf}, validation={})
    with pytest.raises(ValueError, match="finite duality_gap_"):
        display.plot(gap=True)


def test_a_display_needs_a_fit(cancer):
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(GDLogisticRegression())
    with pytest.raises(NotFittedError):
        CoefficientDisplay.from_estimator(GDLogisticRegression())


def test_displays_draw_where_they_are_told(fitted):
    _, ax = plt.subplots()
    assert LossCurveDisplay.from_estimator(fitted, ax=ax).ax_ is ax
    assert CoefficientDisplay.from_estimator(fitted, ax=ax).ax_ is ax


def test_coefficients_are_per_standard_deviation_where_x_is_given(fitted, cancer):
    X, _ = cancer
    display = CoefficientDisplay.from_estimator(fitted, X, k=4)
    expected = fitted.coef_[0] * X.to_numpy().std(axis=0)
    largest = np.argsort(-np.abs(expected))[:4]
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == list(X.columns[largest][::-1])
    np.testing.assert_allclose(display.points_[0].get_xdata(), expected[largest][::-1])
    assert display.ax_.get_xlabel() == "change of the log-odds of class 1 per standard deviation"
    np.testing.assert_array_equal(CoefficientDisplay.from_estimator(fitted).coef, fitted.coef_)


def test_an_odds_ratio_is_what_one_unit_multiplies_the_odds_by(fitted, cancer):
    X, _ = cancer
    frame = CoefficientDisplay.from_estimator(fitted, odds_ratio=True).frame().set_index("feature")
    row = X.iloc[[0]]
    p, q = (fitted.predict_proba(r)[0, 1] for r in (row, row.assign(**{"mean texture": row["mean texture"] + 1})))
    assert frame.loc["mean texture", "odds_ratio"] == pytest.approx(q / (1 - q) / (p / (1 - p)))


def test_every_class_has_its_marker():
    X, y = load_iris(return_X_y=True)
    model = GDLogisticRegression().fit(X, np.array(["setosa", "versicolor", "virginica"])[y])
    display = CoefficientDisplay.from_estimator(model, feature_names=["a", "b", "c", "d"])
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["setosa", "versicolor", "virginica"]
    frame = display.frame()
    assert len(frame) == 12
    for feature, label, coefficient in zip(frame["feature"], frame["class"], frame["coefficient"], strict=True):
        assert coefficient == model.coef_[list(model.classes_).index(label), "abcd".index(feature)]


def test_a_name_per_feature_is_asked_for(fitted):
    with pytest.raises(ValueError, match="feature_names must have 30 names, .* got 2"):
        CoefficientDisplay.from_estimator(fitted, feature_names=["too", "few"])
    with pytest.raises(ValueError, match="X must have 30 columns, .* got 1"):
        CoefficientDisplay.from_estimator(fitted, [[0.0], [1.0]])


@pytest.fixture(scope="module")
def small(cancer):
    X, y = cancer
    return scale(X[["mean radius", "mean texture"]])[:120], y[:120]


def test_paths_begin_at_the_origin_and_end_where_a_fit_ends(small):
    X, y = small
    model = GDLogisticRegression(random_state=0, batch_size=16, learning_rate=0.3)
    display = DescentPathDisplay.from_estimator(model, X, y, n_iter=5, resolution=5)
    np.testing.assert_allclose(display.minimum, GDLogisticRegression(tol=1e-12).fit(X, y).coef_[0], rtol=1e-6)
    for solver, path in display.paths.items():
        assert not path[0].any()
        assert display.excess[solver] >= -1e-15
    for solver in ("gd", "nesterov"):
        with pytest.warns(match="max_iter"):
            fit = GDLogisticRegression(solver=solver, learning_rate=0.3, max_iter=5).fit(X, y)
        np.testing.assert_allclose(display.paths[solver][-1], fit.coef_[0])
        assert len(display.paths[solver]) == 1 + 5


def test_stochastic_descent_is_seen_in_every_batch(small):
    model = GDLogisticRegression(random_state=0, batch_size=1, learning_rate=0.1)
    display = DescentPathDisplay.from_estimator(model, *small, solvers=("sgd",), n_iter=2, resolution=5)
    assert len(display.paths["sgd"]) == 1 + 2 * (120 + 1)


def test_contours_are_of_the_objective(small):
    X, y = small
    display = DescentPathDisplay.from_estimator(GDLogisticRegression(C=0.5), X, y, solvers=("gd",), resolution=4)
    fit = GDLogisticRegression(C=0.5, tol=1e-12).fit(X, y)

    def J(w):
        a = 1 / (1 + np.exp(-(X @ w + fit.intercept_)))
        return log_loss(y, a) + w @ w / (2 * 0.5 * len(y))

    expected = [[J(np.array([first, second])) for first in display.grid[0]] for second in display.grid[1]]
    np.testing.assert_allclose(display.heights, np.array(expected) - J(fit.coef_[0]), atol=1e-7)


def test_three_classes_have_no_descent_path():
    with pytest.raises(ValueError, match="two classes; got 3"):
        DescentPathDisplay.from_estimator(GDLogisticRegression(), *load_iris(return_X_y=True))


@pytest.mark.parametrize("C", [0.02, 0.2])  # none of the coefficients is left, or some
def test_an_l1_penalty_bends_the_paths_too(C, small):
    model = GDLogisticRegression(C=C, l1_ratio=1, tol=1e-12)
    display = DescentPathDisplay.from_estimator(model, *small, solvers=("gd",), n_iter=500, resolution=5)
    np.testing.assert_allclose(display.minimum, model.fit(*small).coef_[0], atol=1e-5)
    np.testing.assert_allclose(display.paths["gd"][-1], display.minimum, atol=1e-4)


def test_an_unknown_solver_is_named(small):
    with pytest.raises(ValueError, match="solvers must be among .* got 'adam'"):
        DescentPathDisplay.from_estimator(GDLogisticRegression(), *small, solvers=("adam",))


def test_a_missing_matplotlib_is_named(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"LossCurveDisplay draws with matplotlib: pip install 'gdlogit\[plot\]'"):
        LossCurveDisplay.from_estimator(fitted)


def test_the_package_is_imported_without_matplotlib():
    code = """
import sys
sys.modules["matplotlib"] = None
from gdlogit import LossCurveDisplay
try:
    LossCurveDisplay(curves={"a": [1.0]}, gaps={"a": 0.0}, validation={}).plot()
except ImportError as error:
    assert "pip install 'gdlogit[plot]'" in str(error), error
else:
    raise AssertionError("no error")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_paths_are_a_table_too(small):
    display = DescentPathDisplay.from_estimator(GDLogisticRegression(), *small, solvers=["gd", "auto"])
    frame = display.frame()
    assert list(frame) == [*display.feature_names, "solver", "point"]
    for solver, path in display.paths.items():
        np.testing.assert_array_equal(frame.loc[frame["solver"] == solver, display.feature_names], path)


def test_a_curve_without_iterations_is_drawn_without_points(fitted, cancer):
    with pytest.warns(ConvergenceWarning, match="max_iter=0"):
        at_start = GDLogisticRegression(max_iter=0).fit(*cancer)
    models = {"start": at_start, "fit": fitted}
    for gap in (False, True):
        display = LossCurveDisplay.from_estimators(models, gap=gap)
        assert [len(line.get_xdata()) for line in display.lines_] == [0, fitted.n_iter_[0]]
    assert len(display.frame()) == fitted.n_iter_[0]
    with pytest.raises(ValueError, match="gap=True"):
        LossCurveDisplay.from_estimator(at_start, gap=True)
