"""Ctrl-C: the best coefficients so far, and a warning; a second one, or one before the first step, leaves no trace."""

import signal
import threading

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_info
from variants import ByProducts

from gdlogit import GDLogisticRegression, solve
from gdlogit.backprop import Sigmoid
from gdlogit.data.memory import rows_of
from gdlogit.data.threads import ONE_BLAS_THREAD
from gdlogit.descent import gradient, newton
from gdlogit.descent.loop import Best, Watch, descend
from gdlogit.descent.status import Status
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet
from gdlogit.smoothness import smoothness

X, Y = load_breast_cancer(return_X_y=True)
X = scale(X)
SOLVERS = ["auto", "by products", "gd", "nesterov", "sgd"]
solvers = pytest.mark.parametrize("solver", SOLVERS)
interrupted = pytest.warns(
    ConvergenceWarning, match=r"Interrupted after \d+ iterations: J is about .* above its minimum"
)


@pytest.fixture
def press(monkeypatch):
    """Press Ctrl-C at the n-th time that a method of a class is called."""

    def press_at(owner, name, n):
        original, count = getattr(owner, name), [0]

        def wrapper(*args, **kwargs):
            count[0] += 1
            if count[0] == n:
                signal.raise_signal(signal.SIGINT)
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, staticmethod(wrapper) if owner is Sigmoid else wrapper)

    return press_at


@pytest.fixture
def make():
    def make(solver, **parameters):
        if solver == "by products":
            return ByProducts(random_state=0, **parameters)
        return GDLogisticRegression(solver=solver, random_state=0, **parameters)

    return make


@pytest.fixture(autouse=True)
def nothing_leaks():
    """Neither threads nor BLAS's limit nor the handler of Ctrl-C."""

    def held():
        blas = [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]
        return threading.active_count(), blas, ONE_BLAS_THREAD._users, signal.getsignal(signal.SIGINT)

    before = held()
    yield
    assert held() == before


@solvers
def test_an_interrupted_fit_is_usable_and_says_so(solver, make, press):
    press(Sigmoid, "forward_backward", 60 if solver == "sgd" else 5)
    model = make(solver)
    with interrupted as record:
        model.fit(X, Y)
    assert record[0].filename == __file__
    assert not model.converged_
    assert model.n_iter_ == len(model.loss_curve_) == len(model.history_) >= 1
    z = model.decision_function(X)
    J = np.logaddexp(0, np.where(Y == 1, -z, z)).mean() + (model.coef_**2).sum() / 2 / len(z)
    assert J == pytest.approx(model.loss_curve_.min())
    assert J - model.duality_gap_ <= GDLogisticRegression().fit(X, Y).loss_curve_[-1] <= J


@solvers
def test_a_fit_goes_on_from_where_it_was_interrupted(solver, make, press):
    press(Sigmoid, "forward_backward", 60 if solver == "sgd" else 5)
    model = make(solver, C=0.01, tol=1e-2, warm_start=True)
    with interrupted:
        model.fit(X, Y)
    reached = model.loss_curve_.min()
    model.fit(X, Y)
    assert model.converged_
    assert model.loss_curve_[-1] <= reached


@solvers
def test_before_the_first_step_an_interrupt_is_raised_and_nothing_changes(solver, make, press):
    fitted, unfitted = make(solver, tol=1e9).fit(X, Y), make(solver)
    before = dict(vars(fitted))
    for model in (fitted, unfitted):
        press(Sigmoid, "forward_backward", 1)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X[:400], Y[:400])
    assert vars(fitted) == before
    assert vars(unfitted) == unfitted.get_params()


def test_an_interrupt_between_a_step_and_its_record_keeps_what_the_history_says(press):
    press(Best, "update", 3)
    model = GDLogisticRegression(solver="gd", C=0.1)
    with interrupted:
        model.fit(X, Y)
    z = model.decision_function(X)
    J = np.logaddexp(0, np.where(Y == 1, -z, z)).mean() + 10 * (model.coef_**2).sum() / 2 / len(z)
    assert len(model.loss_curve_) == 2
    assert J == pytest.approx(model.loss_curve_.min())


def test_an_interrupt_of_the_start_on_samples_is_raised(press):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 8))
    y = (X.sum(axis=1) + rng.logistic(size=len(X)) > 0).astype(int)
    press(newton, "minimise", 2)
    model = GDLogisticRegression(random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    with pytest.raises(NotFittedError):
        model.predict(X)


def test_a_second_interrupt_is_raised_and_nothing_changes(press):
    model = GDLogisticRegression(solver="gd", max_iter=3)
    press(Objective, "at", 3)
    press(solve, "duality_gap", 1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert vars(model) == model.get_params()


def test_an_interrupt_while_threads_work_is_raised_in_none_of_them(press, monkeypatch):
    rng = np.random.default_rng(0)
    large = rng.standard_normal((120_000, 50))
    y = (large[:, 0] + rng.logistic(size=len(large)) > 0).astype(int)
    seen = set()
    original = Sigmoid.forward_backward

    def forward_backward(z, y):
        seen.add(threading.current_thread() is threading.main_thread())
        return original(z, y)

    monkeypatch.setattr(Sigmoid, "forward_backward", staticmethod(forward_backward))
    press(Sigmoid, "forward_backward", 100)
    model = GDLogisticRegression(solver="gd", tol=0, random_state=0)
    with interrupted:
        model.fit(large, y)
    with ONE_BLAS_THREAD as n_threads:
        assert (False in seen) == (n_threads > 1)
    assert model.score(large, y) > 0.6


def test_an_interrupt_with_early_stopping_returns_the_best_for_the_held_out_rows(press):
    press(Objective, "at", 30)
    model = GDLogisticRegression(solver="gd", C=np.inf, early_stopping=True, n_iter_no_change=1000)
    half = len(X) // 2
    with interrupted:
        model.fit(X[:half], Y[:half], X_val=X[half:], y_val=Y[half:])
    z = model.decision_function(X[half:])
    loss = np.logaddexp(0, np.where(Y[half:] == 1, -z, z)).mean()
    assert model.n_iter_ == len(model.validation_loss_curve_) > 10
    assert loss == pytest.approx(model.validation_loss_curve_.min())


def test_the_best_point_of_an_interrupted_descent_is_not_the_last_one():
    objective = Objective(rows_of(X, Y, np.ones(len(Y))), Sigmoid(), ElasticNet(1e-3))
    zero, stable = np.zeros(objective.shape), 1 / smoothness(objective)
    low = descend(newton.sketch(1e-9, np.random.default_rng(0)), objective, zero, tol=1e-9, max_iter=3)
    values = []

    def watch(record, point):
        values.append(record.value)
        if len(values) == 3:
            raise KeyboardInterrupt

    result = descend(
        gradient.batch(200 * stable), objective, low.point.theta, tol=1e-8, max_iter=9, watch=Watch(end=watch)
    )
    assert result.status is Status.INTERRUPTED
    assert len(result.history) == len(values) == 3
    assert low.point.value == result.point.value < min(values)


def test_an_interrupt_in_a_fit_of_a_thread_does_not_reach_it():
    # Python raises KeyboardInterrupt in the main thread only, so a fit elsewhere goes on to its end.
    def press_and_wait():
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            thread.join()

    model = GDLogisticRegression(solver="gd", C=0.1, tol=1e-3)
    thread = threading.Thread(target=model.fit, args=(X, Y))
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        press_and_wait()
    assert model.converged_
