"""scikit-learn's callbacks: each iteration of each solver is seen, in the user's units, and may be the last."""

import cloudpickle
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.special import logsumexp
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from variants import ByProducts

import gdlogit
from gdlogit import GDLogisticRegression
from gdlogit.descent import newton

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn before 1.9 has none")

IRIS_X, IRIS_Y = load_iris(return_X_y=True)
CANCER_X, CANCER_Y = load_breast_cancer(return_X_y=True)
solvers = pytest.mark.parametrize("solver", ["auto", "gd", "nesterov", "sgd"])


class Recorder:
    """Writes down what it is called with, and what ``on_end`` makes of the fitted estimator; may ask to stop."""

    def __init__(self, stop_at=None, on_end=lambda fitted: None):
        self.calls, self.ends, self.stop_at, self.on_end = [], [], stop_at, on_end

    def setup(self, estimator, context):
        self.calls.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata):
        self.calls.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        self.calls.append(f"end {context.task_name}")
        if context.task_name == "iteration":
            self.seen = X, y, metadata
            self.ends.append(self.on_end(fitted_estimator))
            return context.task_id + 1 == self.stop_at
        return False

    def teardown(self, estimator, context):
        self.calls.append("teardown")


def wide():
    """Fewer rows than features: the default descends in the space of the rows."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((40, 200)) + 100, rng.integers(0, 3, 40)


DATA = {
    "offsets": (scale(CANCER_X) + 1e4, CANCER_Y),
    "wide": wide(),
    "csr": (sp.csr_array(scale(CANCER_X)), CANCER_Y),
    "float32": (scale(CANCER_X).astype(np.float32), CANCER_Y),
    "strings": (IRIS_X, np.array(["setosa", "versicolor", "virginica"])[IRIS_Y]),
}


def value(model, X, y):
    """J at the model's coefficients, from its definition."""
    z = model.decision_function(X)
    z = np.c_[0 * z, z] if z.ndim == 1 else z
    loss = logsumexp(z, axis=1) - z[np.arange(len(z)), np.searchsorted(model.classes_, y)]
    return loss.mean() + (model.coef_.astype(float) ** 2).sum() / (2 * model.C * len(z))


@solvers
def test_a_callback_sees_the_fit_and_each_iteration_begin_and_end(solver):
    recorder = Recorder(stop_at=6)
    model = GDLogisticRegression(solver=solver, random_state=0).set_callbacks(recorder).fit(scale(CANCER_X), CANCER_Y)
    iterations = ["begin iteration", "end iteration"] * model.n_iter_[0]
    assert model.n_iter_ > 2
    assert recorder.calls == ["setup", "begin fit", *iterations, "end fit", "teardown"]
    assert recorder.seen[0].shape == CANCER_X.shape
    assert recorder.seen[1] is CANCER_Y


@solvers
@pytest.mark.parametrize("name", DATA)
def test_the_estimator_of_an_iteration_is_in_the_users_units(name, solver):
    X, y = DATA[name]
    recorder = Recorder(stop_at=5, on_end=lambda fitted: (value(fitted, X, y), fitted.coef_.copy(), fitted.classes_))
    model = GDLogisticRegression(solver=solver, random_state=0).set_callbacks(recorder).fit(X, y)
    rtol = 1e-4 if X.dtype == np.float32 else 1e-8
    np.testing.assert_allclose([J for J, _, _ in recorder.ends], model.loss_curve_, rtol=rtol)
    np.testing.assert_array_equal(recorder.ends[-1][1], model.coef_)
    np.testing.assert_array_equal(recorder.ends[0][2], np.unique(y))


@solvers
def test_an_iteration_begins_with_the_estimator_that_the_last_one_ended_with(solver):
    class Watcher(Recorder):
        def on_fit_task_begin(self, estimator, context, *, fitted_estimator):
            if context.task_name == "iteration":
                begins.append(fitted_estimator.coef_)

    begins = []
    recorder = Watcher(stop_at=4, on_end=lambda fitted: fitted.coef_)
    GDLogisticRegression(solver=solver, random_state=0).set_callbacks(recorder).fit(scale(CANCER_X), CANCER_Y)
    assert not begins[0].any()
    np.testing.assert_array_equal(begins[1:], recorder.ends[:-1])


@solvers
@pytest.mark.parametrize("at", [1, 3])
def test_a_request_to_stop_ends_every_solver_there_without_a_warning(solver, at):
    X = scale(CANCER_X)
    stopped = GDLogisticRegression(solver=solver, random_state=0).set_callbacks(Recorder(stop_at=at)).fit(X, CANCER_Y)
    with pytest.warns(match="after max_iter"):
        whole = GDLogisticRegression(solver=solver, random_state=0, max_iter=at).fit(X, CANCER_Y)
    assert stopped.n_iter_ == len(stopped.loss_curve_) == at
    assert not stopped.converged_
    np.testing.assert_array_equal(stopped.coef_, whole.coef_)
    np.testing.assert_array_equal(stopped.intercept_, whole.intercept_)
    assert 0 < stopped.duality_gap_ < np.inf


def test_a_request_to_stop_ends_conjugate_gradients_too():
    model = ByProducts().set_callbacks(Recorder(stop_at=2)).fit(IRIS_X, IRIS_Y)
    assert model.n_iter_ == 2
    assert not model.converged_


def test_a_request_to_stop_at_the_minimum_leaves_a_converged_fit():
    n_iter = GDLogisticRegression().fit(IRIS_X, IRIS_Y).n_iter_
    model = GDLogisticRegression().set_callbacks(Recorder(stop_at=n_iter - 1)).fit(IRIS_X, IRIS_Y)
    assert model.n_iter_ == n_iter - 1
    assert model.converged_


def test_a_request_to_stop_separable_classes_is_not_a_warning():
    separable = IRIS_Y != 2
    model = GDLogisticRegression(C=np.inf).set_callbacks(Recorder(stop_at=4))
    assert model.fit(IRIS_X[separable], IRIS_Y[separable]).n_iter_ == 4


def test_a_callback_cannot_change_the_fit():
    def vandal(fitted):
        for array in (fitted.coef_, fitted.intercept_):
            array[:] = np.nan

    plain = GDLogisticRegression().fit(IRIS_X, IRIS_Y)
    model = GDLogisticRegression().set_callbacks(Recorder(on_end=vandal)).fit(IRIS_X, IRIS_Y)
    np.testing.assert_array_equal(model.coef_, plain.coef_)
    np.testing.assert_array_equal(model.loss_curve_, plain.loss_curve_)


def test_a_diverged_iteration_has_no_estimator_to_show():
    recorder = Recorder(on_end=lambda fitted: fitted is not None)
    model = GDLogisticRegression(solver="gd", learning_rate=1e300).set_callbacks(recorder)
    with pytest.warns(match="diverges"):
        model.fit(CANCER_X, CANCER_Y)
    assert recorder.ends[-1] is False


@pytest.mark.parametrize("error", [ValueError, MemoryError])
@pytest.mark.parametrize("fitted", [False, True])
def test_an_error_of_a_callback_is_raised_and_nothing_changes(error, fitted):
    def fail(_):
        raise error("as tested")

    model = GDLogisticRegression(C=0.1)
    if fitted:
        model.fit(IRIS_X, IRIS_Y)
    recorder = Recorder(on_end=fail)
    before = vars(model.set_callbacks(recorder)).copy()
    with pytest.raises(error, match="as tested"):
        model.fit(CANCER_X, CANCER_Y)
    assert recorder.calls[-1] == "teardown"
    assert vars(model).keys() == before.keys()
    assert all(held is before[name] for name, held in vars(model).items())
    if not fitted:
        with pytest.raises(NotFittedError):
            model.predict(CANCER_X)


def test_a_callback_runs_under_the_callers_numpy_errors():
    def overflow(_):
        return np.array([1e300]) * 1e300

    with np.errstate(over="ignore"):
        model = GDLogisticRegression().set_callbacks(Recorder(on_end=overflow)).fit(IRIS_X, IRIS_Y)
    assert model.converged_


def test_without_callbacks_no_context_is_made_for_an_iteration(monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(callback.CallbackContext, "subcontext", fail)
    assert GDLogisticRegression().fit(IRIS_X, IRIS_Y).converged_


# --- scikit-learn's own callbacks ------------------------------------------------------------------------


@solvers
def test_progress_bar_shows_the_fit_under_a_search_and_a_pipeline(solver, capsys):
    pytest.importorskip("rich")
    model = GDLogisticRegression(solver=solver, max_iter=5, tol=1e9, random_state=0)
    model.set_callbacks(callback.ProgressBar()).fit(IRIS_X, IRIS_Y)
    shown = capsys.readouterr().out
    assert "GDLogisticRegression - fit" in shown
    assert "100%" in shown
    model.set_callbacks()
    search = GridSearchCV(make_pipeline(StandardScaler(), model), {"gdlogisticregression__C": [0.1, 1.0]}, cv=3)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(IRIS_X, IRIS_Y)
    shown = capsys.readouterr().out
    assert "GridSearchCV - fit" in shown
    assert "Pipeline - fit-final-estimator | GDLogisticRegression - fit" in shown
    assert search.best_estimator_[-1].n_iter_ >= 1


@solvers
def test_scoring_monitor_logs_each_iteration(solver):
    X = pd.DataFrame(scale(CANCER_X)).rename(columns="feature {}".format)  # the names must reach the scorer
    weight = np.random.default_rng(0).random(len(X))
    monitor = callback.ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    model = GDLogisticRegression(solver=solver, random_state=0, C=1e-2)
    model.set_callbacks(monitor, Recorder(stop_at=8)).fit(X, CANCER_Y, weight)
    log = monitor.get_logs().data_as_pandas
    iterations = log[log["task_name"] == "iteration"]
    assert len(iterations) == model.n_iter_
    assert iterations["accuracy"].iloc[-1] == pytest.approx(model.score(X, CANCER_Y, weight))
    assert log.loc[log["task_name"] == "fit", "accuracy"].item() == iterations["accuracy"].iloc[-1]
    penalty = (model.coef_**2).sum() / (2 * model.C * weight.sum())
    assert -iterations["neg_log_loss"].iloc[-1] + penalty == pytest.approx(model.loss_curve_[-1])


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_scoring_monitor_logs_each_fit_of_a_search(n_jobs):
    monitor = callback.ScoringMonitor(scoring="accuracy")
    model = GDLogisticRegression(max_iter=3, tol=1e9).set_callbacks(monitor)
    GridSearchCV(model, {"C": [0.1, 1.0]}, cv=2, n_jobs=n_jobs).fit(IRIS_X, IRIS_Y)
    log = monitor.get_logs().data_as_pandas
    fits = log[log["task_name"] == "fit"]
    assert len(fits) == 5
    assert (log["task_name"] == "iteration").sum() >= 5


def test_a_clone_of_a_watched_estimator_is_watched_and_a_pickle_fits_again():
    recorder = Recorder(stop_at=2)
    model = GDLogisticRegression().set_callbacks(recorder)
    search = GridSearchCV(model, {"C": [0.1, 1.0]}, cv=2).fit(IRIS_X, IRIS_Y)
    assert search.best_estimator_.n_iter_ == 2
    assert recorder.calls.count("teardown") == recorder.calls.count("setup") == 5
    stored = cloudpickle.loads(cloudpickle.dumps(search.best_estimator_))
    assert stored.fit(IRIS_X, IRIS_Y).n_iter_ == 2


def test_an_interrupted_fit_ends_the_iteration_that_it_had_begun(monkeypatch):
    def pressed(objective, state, *more):
        if len(recorder.ends) == 2:
            raise KeyboardInterrupt
        return advance(objective, state, *more)

    recorder, advance = Recorder(), newton.advance
    monkeypatch.setattr(newton, "advance", pressed)
    with pytest.warns(ConvergenceWarning, match="Interrupted after 2 iterations"):
        GDLogisticRegression(random_state=0).set_callbacks(recorder).fit(IRIS_X, IRIS_Y)
    iterations = ["begin iteration", "end iteration"] * 3
    assert recorder.calls == ["setup", "begin fit", *iterations, "end fit", "teardown"]


def test_the_adapter_is_scikit_learns():
    assert issubclass(GDLogisticRegression, callback.CallbackSupportMixin)
    assert gdlogit.estimators.callbacks.with_callbacks is callback.with_callbacks
