"""Displays: the data they show are the fit's, and what they draw is the data."""

import re
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_extraction.text import HashingVectorizer, TfidfVectorizer
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler, scale

from gdlogit import (
    CoefficientDisplay,
    CVCurveDisplay,
    DescentPathDisplay,
    GDLogisticRegression,
    GDLogisticRegressionCV,
    LossCurveDisplay,
    RegularizationPathDisplay,
)
from gdlogit.display.path import LABEL_DISTANCE, name_ends

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


def test_a_number_names_a_curve(cancer):
    models = {C: GDLogisticRegression(C=C).fit(*cancer) for C in (0.1, 1.0)}
    legend = LossCurveDisplay.from_estimators(models).ax_.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["0.1", "1.0"]


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


def test_a_path_that_overflows_is_drawn_as_far_as_it_is_finite(small):
    model = GDLogisticRegression(learning_rate=1e100, batch_size=16, random_state=0)
    display = DescentPathDisplay.from_estimator(model, *small, resolution=4)
    told = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert told[:3] == ["sgd, diverged", "gd, diverged", "nesterov, diverged"]
    assert re.fullmatch(r"auto, \de-\d+", told[3])
    assert np.isfinite(display.heights).all()
    for path in display.paths.values():
        assert len(path) > 1
        assert np.isfinite(path).all()


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


# --- In Pipelines and searches --------------------------------------------------------------------------------


def labels(display):
    """The names of the features drawn, the largest first."""
    return [text.get_text() for text in display.ax_.get_yticklabels()][::-1]


def wrapped(cancer):
    """Ways to put a scaled fit of the same C inside something else, unfitted."""
    pipeline = make_pipeline(StandardScaler(), GDLogisticRegression(random_state=0))
    grid = {"gdlogisticregression__C": [1.0]}
    return {
        "pipeline": pipeline,
        "pipeline in a pipeline": make_pipeline("passthrough", pipeline),
        "grid search of a pipeline": GridSearchCV(pipeline, grid, cv=2),
        "random search of a pipeline": RandomizedSearchCV(pipeline, grid, n_iter=1, cv=2),
        "halving search of a pipeline": HalvingGridSearchCV(pipeline, grid, cv=2),
        "pipeline of a search": make_pipeline(
            StandardScaler(), GridSearchCV(GDLogisticRegression(random_state=0), {"C": [1.0]}, cv=2)
        ),
    }


@pytest.fixture(scope="module", params=wrapped(None))
def outer(request, cancer):
    return wrapped(cancer)[request.param].fit(*cancer)


def test_displays_reach_the_model_inside_and_the_names_outside(outer, cancer):
    X, y = cancer
    model = GDLogisticRegression(random_state=0).fit(scale(X), y)
    plain = CoefficientDisplay.from_estimator(model, scale(X), feature_names=X.columns)
    display = CoefficientDisplay.from_estimator(outer, X)
    np.testing.assert_allclose(display.coef, plain.coef, rtol=1e-6)
    assert labels(display) == labels(plain)
    assert set(display.frame()["feature"]) == set(X.columns)
    display = LossCurveDisplay.from_estimator(outer)
    np.testing.assert_allclose(display.lines_[0].get_ydata(), model.loss_curve_, rtol=1e-6)
    assert display.ax_.get_title() == "solver='auto'"


@pytest.mark.parametrize("is_fitted", [True, False])
def test_a_descent_path_transforms_x_as_the_pipeline_does(is_fitted, cancer):
    X, y = cancer[0].iloc[:120, :3], cancer[1][:120]
    pipeline = make_pipeline(StandardScaler(), GDLogisticRegression(C=0.1))
    search = GridSearchCV(pipeline, {"gdlogisticregression__C": [0.1]}, cv=2)
    settings = {"solvers": ["auto"], "resolution": 3}
    expected = DescentPathDisplay.from_estimator(pipeline[-1], scale(X), y, **settings)
    for outer in (pipeline, search):
        outer = outer.fit(X, y) if is_fitted else outer
        display = DescentPathDisplay.from_estimator(outer, X, y, **settings)
        np.testing.assert_allclose(display.heights, expected.heights, rtol=1e-6)
        assert display.feature_names == tuple(X.columns[:2])
        assert hasattr(search, "best_estimator_") == (is_fitted and outer is search)


def test_names_are_those_that_the_model_sees(cancer):
    X = cancer[0].iloc[:, :2].assign(size=np.where(cancer[0]["mean radius"] > 14, "large", "small"))
    encoder = OneHotEncoder(drop="if_binary", sparse_output=False)
    columns = make_column_transformer((encoder, ["size"]), remainder="passthrough")
    pipeline = make_pipeline(columns, StandardScaler(), GDLogisticRegression()).fit(X, cancer[1])
    display = CoefficientDisplay.from_estimator(pipeline, X)
    assert set(labels(display)) == {"onehotencoder__size_small", "remainder__mean radius", "remainder__mean texture"}
    display = CoefficientDisplay.from_estimator(pipeline.set_output(transform="pandas").fit(X, cancer[1]))
    assert set(labels(display)) == {"onehotencoder__size_small", "remainder__mean radius", "remainder__mean texture"}


def test_a_frame_names_what_was_fitted_without_names(cancer):
    X, y = cancer[0].iloc[:, :3], cancer[1]
    model = GDLogisticRegression().fit(X.to_numpy(), y)
    assert sorted(labels(CoefficientDisplay.from_estimator(model))) == ["x0", "x1", "x2"]
    assert sorted(labels(CoefficientDisplay.from_estimator(model, X))) == sorted(X.columns)
    assert sorted(labels(CoefficientDisplay.from_estimator(model, X.set_axis([5, 6, 7], axis=1)))) == ["x0", "x1", "x2"]


TEXTS = ["cheap pills now", "buy pills cheap", "meet me now", "see you at lunch", "lunch at noon", "cheap lunch"] * 5
IS_SPAM = [1, 1, 0, 0, 0, 1] * 5


def test_words_are_the_names_of_a_text_model():
    pipeline = make_pipeline(TfidfVectorizer(), GDLogisticRegression()).fit(TEXTS, IS_SPAM)
    display = CoefficientDisplay.from_estimator(pipeline, TEXTS, k=1)
    assert labels(display) == ["cheap"]
    X = pipeline[0].transform(TEXTS)
    np.testing.assert_allclose(display.coef, pipeline[-1].coef_ * X.toarray().std(axis=0), rtol=1e-12)
    hashed = make_pipeline(HashingVectorizer(n_features=8), GDLogisticRegression()).fit(TEXTS, IS_SPAM)
    assert set(labels(CoefficientDisplay.from_estimator(hashed))) == {f"x{j}" for j in range(8)}  # hashes have no names


@pytest.mark.parametrize("form", [sp.csr_array, sp.csr_matrix, sp.csc_array, sp.coo_array])
def test_sparse_rows_give_the_picture_of_dense_ones(form, small):
    X, y = small
    X = np.where(np.abs(X) < 0.3, 0.0, X)
    model = GDLogisticRegression(random_state=0).fit(X, y)
    dense, sparse = (CoefficientDisplay.from_estimator(model, rows) for rows in (X, form(X)))
    np.testing.assert_allclose(sparse.coef, dense.coef, rtol=1e-12)
    settings = {"solvers": ["gd", "auto"], "n_iter": 5, "resolution": 4}
    dense, sparse = (DescentPathDisplay.from_estimator(model, rows, y, **settings) for rows in (X, form(X)))
    np.testing.assert_allclose(sparse.heights, dense.heights, atol=1e-8)
    np.testing.assert_allclose(sparse.paths["gd"], dense.paths["gd"], rtol=1e-9)


def test_features_are_chosen_by_name_or_by_index(cancer):
    X, y = cancer[0].iloc[:120, :4], cancer[1][:120]
    pipeline = make_pipeline(StandardScaler(), GDLogisticRegression())
    settings = {"solvers": ["auto"], "resolution": 3}
    by_index = DescentPathDisplay.from_estimator(pipeline, X, y, features=(3, 1), **settings)
    for features in (("mean area", "mean texture"), ["mean area", 1], (-1, np.int64(1)), X.columns[[3, 1]]):
        display = DescentPathDisplay.from_estimator(pipeline, X, y, features=features, **settings)
        assert display.feature_names == by_index.feature_names == ("mean area", "mean texture")
        np.testing.assert_array_equal(display.minimum, by_index.minimum)


@pytest.mark.parametrize("features", [("mean area", "mean aera"), (0, 4), (0,), (0, 1, 2), (0.5, 1)])
def test_features_that_are_not_there_are_named(features, cancer):
    with pytest.raises(
        ValueError, match=r"features must be two of the indices below 4 or of the names 'mean radius', "
    ):
        DescentPathDisplay.from_estimator(GDLogisticRegression(), cancer[0].iloc[:, :4], cancer[1], features=features)


def test_what_is_not_fitted_inside_is_said(cancer):
    pipeline = make_pipeline(StandardScaler(), GDLogisticRegression())
    for display in (CoefficientDisplay, LossCurveDisplay):
        for outer in (pipeline, GridSearchCV(pipeline, {"gdlogisticregression__C": [1.0]})):
            with pytest.raises(NotFittedError, match="GDLogisticRegression instance is not fitted"):
                display.from_estimator(outer)


def test_a_pipeline_of_the_model_alone_is_the_model(fitted, cancer):
    display = CoefficientDisplay.from_estimator(Pipeline([("model", fitted)]), cancer[0])
    np.testing.assert_array_equal(display.coef, CoefficientDisplay.from_estimator(fitted, cancer[0]).coef)


# --- Streams, and curves that end at their bound ---------------------------------------------------------------


def streamed(cancer, **parameters):
    model = GDLogisticRegression(**parameters)
    for start in range(0, 500, 50):
        model.partial_fit(*(part.iloc[start : start + 50] for part in cancer), classes=[0, 1])
    return model


def test_a_streams_curve_is_its_progressive_loss(cancer):
    model = streamed(cancer)
    display = LossCurveDisplay.from_estimator(model)
    batches, mean = display.lines_
    np.testing.assert_array_equal(batches.get_ydata(), model.progressive_loss_curve_)
    np.testing.assert_array_equal(batches.get_xdata(), 1 + np.arange(10))
    assert mean.get_ydata()[-1] == pytest.approx(model.progressive_loss_curve_.mean())
    assert display.ax_.get_xlabel() == "batch"
    frame = display.frame()
    assert list(frame) == ["name", "batch", "progressive"]
    np.testing.assert_array_equal(frame["progressive"], model.progressive_loss_curve_)
    assert len(LossCurveDisplay.from_estimators({"a": model, "b": streamed(cancer, C=0.1)}).lines_) == 4


def test_a_stream_after_a_fit_and_a_fit_after_a_stream_draw_the_last(cancer):
    X, y = cancer
    model = streamed(cancer).fit(X, y)
    assert LossCurveDisplay.from_estimator(model).ax_.get_xlabel() == "iteration"
    assert LossCurveDisplay.from_estimator(model.partial_fit(X, y)).ax_.get_xlabel() == "batch"


def test_streams_and_fits_are_not_drawn_together(fitted, cancer):
    with pytest.raises(ValueError, match=r"fits \['a'\] have .* streams \['b'\] a point per batch"):
        LossCurveDisplay.from_estimators({"a": fitted, "b": streamed(cancer)})
    with pytest.raises(ValueError, match="finite duality_gap_: one that was fitted by fit or fit_batches"):
        LossCurveDisplay.from_estimator(streamed(cancer), gap=True)


@pytest.mark.parametrize("gap", [1e-3, 1e-18, 3e-25, 0.0])
def test_a_curve_of_gaps_has_all_its_points_on_the_log_axis(gap):
    curve = np.array([0.5, 0.2, 0.1])
    display = LossCurveDisplay(curves={"a": curve, "b": curve + 1e-17}, gaps={"a": gap, "b": np.inf}, validation={})
    for line in display.plot(gap=True).lines_:
        assert (line.get_ydata() >= max(gap, np.spacing(0.1))).all()
        np.testing.assert_allclose(line.get_ydata()[:2], [0.4 + gap, 0.1 + gap])


@pytest.mark.parametrize("learning_rate", [1e3, 1e200])
def test_a_descent_that_diverged_gives_no_bound_but_takes_one(learning_rate, fitted, cancer):
    with pytest.warns(ConvergenceWarning):
        model = GDLogisticRegression(solver="gd", learning_rate=learning_rate, max_iter=9).fit(*cancer)
    with pytest.raises(ValueError, match="finite duality_gap_"):
        LossCurveDisplay.from_estimator(model, gap=True)
    line, _ = LossCurveDisplay.from_estimators({"diverged": model, "fitted": fitted}, gap=True).lines_
    np.testing.assert_allclose(line.get_ydata(), model.loss_curve_ - fitted.loss_curve_[-1], rtol=1e-9)


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


# --- The path -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def path(cancer):
    return GDLogisticRegressionCV(Cs=np.logspace(-5, 0, 12), cv=3, rule="1se").fit(*cancer)


def test_the_path_drawn_is_the_fits(cancer, path):
    display = RegularizationPathDisplay.from_estimator(path, k=3)
    assert len(display.lines_) == 30
    for line in display.lines_[:3]:
        j = list(cancer[0].columns).index(line.get_label())
        np.testing.assert_array_equal(line.get_ydata(), path.coef_path_[0, :, 0, j])
        np.testing.assert_array_equal(line.get_xdata(), path.Cs_)
    largest = np.abs(path.coef_path_[0, -1, 0]).argmax()
    assert display.lines_[0].get_label() == cancer[0].columns[largest]
    marked = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert marked == [f"one standard error: C = {path.C_1se_:.3g}", f"best: C = {path.C_best_:.3g}"]
    assert list(display.frame())[:3] == ["C", "n_nonzero", "mean radius"]


def test_the_path_over_the_l1_norm(path):
    display = RegularizationPathDisplay.from_estimator(path, x="l1_norm", scale=np.ones(30))
    np.testing.assert_allclose(display.lines_[0].get_xdata(), np.abs(path.coef_path_[0, :, 0]).sum(axis=1))
    assert display.ax_.get_legend() is None
    with pytest.raises(ValueError, match='x must be "C" or "l1_norm"; got "lambda"'.replace('"lambda"', "'lambda'")):
        display.plot(x="lambda")


def test_the_scores_drawn_are_the_fits(path):
    display = CVCurveDisplay.from_estimator(path)
    line, _, (bars,) = display.errorbar_
    np.testing.assert_array_equal(line.get_ydata(), -path.cv_results_["mean_test_score"])
    heights = [segment[1, 1] - segment[0, 1] for segment in bars.get_segments()]
    np.testing.assert_allclose(heights, 2 * path.cv_results_["se_test_score"])
    assert list(display.frame()) == ["C", "mean", "se", "n_nonzero"]


@pytest.mark.filterwarnings("ignore:The best score is at")
def test_the_path_in_a_pipeline_and_of_one_class_and_ratio():
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = GDLogisticRegressionCV(Cs=np.logspace(-3, 1, 5), l1_ratios=[0.0, 1.0], cv=3, scoring="accuracy")
    fitted = make_pipeline(StandardScaler(), model).fit(X, y)
    display = RegularizationPathDisplay.from_estimator(fitted, label=2, l1_ratio=1.0)
    np.testing.assert_array_equal(display.coef, fitted[-1].coef_path_[1, :, 2])
    assert display.lines_[0].get_label() in X.columns
    assert CVCurveDisplay.from_estimator(fitted).ax_.get_ylabel() == "accuracy"
    with pytest.raises(ValueError, match=r"l1_ratio must be one of l1_ratios_, \[0.0, 1.0\]; got 0.3"):
        CVCurveDisplay.from_estimator(fitted, l1_ratio=0.3)
    with pytest.raises(ValueError, match=r"label must be one of \[0, 1, 2\]; got 7"):
        RegularizationPathDisplay.from_estimator(fitted, label=7)


@pytest.mark.parametrize("display", [CVCurveDisplay, RegularizationPathDisplay])
def test_a_path_must_be_fitted(display):
    with pytest.raises(NotFittedError):
        display.from_estimator(GDLogisticRegressionCV())


@pytest.mark.parametrize("ends", [[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]])
def test_names_of_lines_that_end_together_do_not_cover_each_other(ends):
    _, ax = plt.subplots()
    ax.set_ylim(0, 1)
    name_ends(ax, 1.0, np.array(ends), np.array(list("abcd")))
    heights = np.sort([label.xyann[1] for label in ax.texts])
    assert (np.diff(heights) >= LABEL_DISTANCE - 1e-12).all()
    assert heights[0] >= 0
    assert heights[-1] <= 1
