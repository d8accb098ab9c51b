"""Fits in processes and threads: none hangs, all are right, and BLAS has its threads back when the last has ended."""

import multiprocessing
import signal
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from faults import (
    IRIS_X,
    IRIS_Y,
    Fault,
    Source,
    X,
    Y,
    assert_unchanged,
    at_every_block,
    batches,
    blas_threads,
    blocks_on,
    half_fitted,
    held,
    in_child,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdlogit import GDLogisticRegression
from gdlogit.data.threads import ONE_BLAS_THREAD


@pytest.fixture(autouse=True)
def nothing_leaks():
    before = held()
    yield
    assert held() == before


@pytest.fixture
def two_threads():
    with blocks_on(2):
        yield


# --- Processes -------------------------------------------------------------------------------------------


def fit_as(expected):
    """Assert that a fit, on threads, is another one."""
    assert_same_fit(GDLogisticRegression(random_state=0).fit(X, Y), expected)


def assert_same_fit(ours, theirs):
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-9, atol=1e-12)
    assert ours.converged_ == theirs.converged_


def test_a_child_forked_after_a_fit_can_fit(two_threads):
    expected = GDLogisticRegression(random_state=0).fit(X, Y)
    assert in_child(partial(fit_as, expected)) == 0


def test_a_child_forked_in_the_middle_of_a_fit_can_fit_and_has_blas_as_it_was(two_threads):
    expected, before, codes = GDLogisticRegression(random_state=0).fit(X, Y), blas_threads(), []

    def child():
        assert blas_threads() == before
        fit_as(expected)
        assert blas_threads() == before

    def source():
        if len(codes) < 2:
            assert set(blas_threads()) == ({1} if codes else set(before))
            codes.append(in_child(child))
        yield from batches(X, Y)

    assert_same_fit(GDLogisticRegression(random_state=0).fit_batches(source), expected)
    assert codes == [0, 0]


def test_a_child_forked_while_a_fit_begins_in_another_thread_can_fit(two_threads):
    with ONE_BLAS_THREAD._lock:
        assert in_child(lambda: GDLogisticRegression().fit(X, Y)) == 0


def refit(model, expected):
    """Assert that a fitted estimator predicts, and fits again, as it did in the process that it comes from."""
    np.testing.assert_array_equal(model.predict_proba(X), expected)
    model.fit(X, Y)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("context", ["spawn", "forkserver"])
def test_a_child_with_an_interpreter_of_its_own_can_fit_the_estimator_that_it_is_given(context, two_threads):
    model = GDLogisticRegression(random_state=0).fit(X, Y)
    assert in_child(partial(refit, model, model.predict_proba(X)), context) == 0


def test_sigterm_ends_a_process_in_the_middle_of_a_fit(two_threads):
    def source():
        source.passes += 1
        for batch in batches(X, Y):
            if source.passes == 4:
                signal.raise_signal(signal.SIGTERM)
            yield batch

    source.passes = 0
    assert in_child(lambda: GDLogisticRegression().fit_batches(source)) == -signal.SIGTERM


def test_a_handler_of_sigterm_may_raise_in_the_middle_of_a_fit(two_threads, monkeypatch):
    def stop(*_):
        raise SystemExit("as a handler does")

    handler = signal.signal(signal.SIGTERM, stop)
    try:
        model, before = half_fitted(solver="gd")
        with pytest.raises(SystemExit, match="as a handler does"):
            next(at_every_block(lambda: model.fit(X, Y), lambda: signal.raise_signal(signal.SIGTERM), monkeypatch))
        assert_unchanged(model, before)
    finally:
        signal.signal(signal.SIGTERM, handler)


def test_a_fit_in_a_thread_that_outlives_the_main_one_goes_on(two_threads):
    converged = multiprocessing.Value("b", False)

    def fit():
        threading.main_thread().join()
        converged.value = GDLogisticRegression().fit(X, Y).converged_

    assert in_child(lambda: threading.Thread(target=fit).start()) == 0
    assert converged.value


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_a_search_over_pipelines_on_two_workers_finds_what_one_does(backend, two_threads):
    def search(n_jobs):
        pipeline = make_pipeline(StandardScaler(), GDLogisticRegression(random_state=0))
        return GridSearchCV(pipeline, {"gdlogisticregression__C": [0.1, 10]}, cv=2, n_jobs=n_jobs).fit(X, Y)

    expected = search(None)
    with joblib.parallel_backend(backend), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks where threads are
        found = search(2)
    assert found.best_params_ == expected.best_params_
    np.testing.assert_allclose(found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
    assert_same_fit(found.best_estimator_[-1], expected.best_estimator_[-1])


# --- Threads ---------------------------------------------------------------------------------------------
#
# The check of X in scikit-learn sets a filter of warnings for a moment. Filters are the process's, and two threads that
# do so at once may leave it set: they are put back here.


@pytest.mark.deep
def test_fits_side_by_side_are_those_one_after_another_though_some_fail(two_threads):
    def fit(i):
        if i % 4 == 3:
            with pytest.raises(Fault):
                GDLogisticRegression().fit_batches(Source(4 + i % 7))
            return np.zeros(0)
        model = GDLogisticRegression(C=10.0 ** (i % 5), l1_ratio=i % 2, random_state=0)
        if i % 3 == 2:
            return model.fit_batches(batches(sp.csr_array(X), Y)).coef_
        return model.fit(X, Y).coef_

    before, interval = blas_threads(), sys.getswitchinterval()
    expected = [fit(i) for i in range(16)]
    sys.setswitchinterval(1e-6)
    try:
        with warnings.catch_warnings(), ThreadPoolExecutor(8, "fits") as pool:
            found = list(pool.map(fit, range(16)))
    finally:
        sys.setswitchinterval(interval)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert blas_threads() == before


def test_one_model_predicts_in_many_threads():
    model = GDLogisticRegression().fit(IRIS_X, IRIS_Y)
    expected = model.predict_proba(IRIS_X)
    with warnings.catch_warnings(), ThreadPoolExecutor(8, "predictions") as pool:
        for found in pool.map(lambda _: model.predict_proba(IRIS_X), range(64)):
            np.testing.assert_array_equal(found, expected)
