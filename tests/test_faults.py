"""Faults: whatever breaks in the middle of a fit, nothing hangs or leaks, and the estimator is as it was, or usable."""

import gc
import signal
import threading
import tracemalloc
import warnings
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from faults import (
    FEW_X,
    FEW_Y,
    FITS,
    IRIS_X,
    IRIS_Y,
    Fault,
    Source,
    X,
    Y,
    assert_unchanged,
    at_every_block,
    batches,
    blocks_on,
    half_fitted,
    held,
)
from sklearn.exceptions import ConvergenceWarning

from gdlogit import GDLogisticRegression, c_min
from gdlogit.data import layout
from gdlogit.data.layout import Layout
from gdlogit.data.threads import ONE_BLAS_THREAD

fits = pytest.mark.parametrize("name", FITS)


@pytest.fixture(autouse=True)
def nothing_leaks():
    before = held()
    yield
    assert held() == before


@pytest.fixture(params=[1, 2], ids=["main thread", "worker threads"])
def few_or_many_threads(request):
    with blocks_on(request.param):
        yield


@pytest.fixture
def two_threads():
    with blocks_on(2):
        yield


@pytest.fixture
def make(name):
    return lambda: half_fitted(**FITS[name])


# --- Code of the caller's that raises --------------------------------------------------------------------


class Callback:
    """Raises an error at the n-th call of one of its hooks."""

    def __init__(self, hook, n=1, error=Fault):
        self.hook, self.left, self.error, self.ended = hook, n, error, False

    def called(self, hook):
        self.left -= hook == self.hook
        if hook == self.hook and self.left == 0:
            raise self.error("of a callback")

    def setup(self, estimator, context):
        self.called("setup")

    def on_fit_task_begin(self, estimator, context, *, X, y):
        self.called(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        self.called(f"end {context.task_name}")

    def teardown(self, estimator, context):
        self.ended = True
        self.called("teardown")


HOOKS = [
    ("setup", 1),
    ("begin fit", 1),
    ("begin iteration", 1),
    ("begin iteration", 3),
    ("end iteration", 1),
    ("end iteration", 3),
    ("end fit", 1),
    ("teardown", 1),
]


@pytest.mark.parametrize(("hook", "n"), HOOKS)
@pytest.mark.parametrize("error", [Fault, FloatingPointError, SystemExit])
@pytest.mark.parametrize("learn", ["fit", "fit_batches"])
def test_an_error_in_any_hook_of_a_callback_is_raised_as_it_is(learn, hook, n, error):
    pytest.importorskip("sklearn.callback")
    model, _ = half_fitted(solver="auto" if error is Fault else "gd", max_iter=5)
    callback = Callback(hook, n, error)
    before = vars(model.set_callbacks(callback)).copy()
    arguments = (X, Y) if learn == "fit" else (batches(X, Y),)
    with pytest.raises(error, match="of a callback"):
        getattr(model, learn)(*arguments)
    assert_unchanged(model, before)
    assert callback.ended or hook == "setup"


@pytest.mark.parametrize("error", [Fault, FloatingPointError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("n", [1, 3, 5, 7, 10])
def test_an_error_of_a_source_is_raised_as_it_is_wherever_it_happens(n, error):
    model, before = half_fitted()
    source = Source(n, error)
    with pytest.raises(error, match="of a source") as caught:
        model.fit_batches(source)
    assert_unchanged(model, before)
    assert source.open == 0
    if issubclass(error, Exception):
        assert caught.value.__notes__ == [f"In pass {(n + 3) // 4} over source, at batch {(n - 1) % 4 + 1}."]


def test_an_error_of_a_source_that_is_read_for_the_warning_leaves_the_estimator_as_it_was():
    parameters = {"solver": "gd", "learning_rate": 1e5, "max_iter": 2}  # the warning names the largest stable rate
    source = Source()
    with pytest.warns(ConvergenceWarning, match="diverges"):
        passes = GDLogisticRegression(**parameters).fit_batches(source).n_passes_
    assert source.count == 4 * passes
    model, before = half_fitted(**parameters)
    with pytest.raises(Fault):
        model.fit_batches(Source(source.count))
    assert_unchanged(model, before)


def test_a_source_is_closed_when_the_fit_fails_for_another_reason():
    source = Source()
    with pytest.raises(ValueError, match="labels of classes"):
        GDLogisticRegression().fit_batches(source, classes=[0, 2])
    assert source.open == 0


def test_a_source_runs_under_the_callers_numpy_errors_in_every_pass():
    source = Source()
    with np.errstate(over="ignore"):
        settings = np.geterr()
        GDLogisticRegression().fit_batches(source)
        assert np.geterr() == settings
    assert all(seen == settings | {"divide": "print"} for seen in source.settings)


class Bad:
    """An array-like that breaks when it is looked at."""

    def __init__(self, method, error):
        self.method, self.error = method, error

    def look(self, method, value):
        if self.method == method:
            raise self.error("of an array")
        return value

    def __len__(self):
        return self.look("__len__", 100)

    def __array__(self, dtype=None, copy=None):
        return self.look("__array__", np.ones(100))

    def __getitem__(self, index):
        return self.look("__getitem__", [1.0] * 100)[index]


@pytest.mark.parametrize("argument", ["X", "y", "sample_weight", "X_val", "y_val", "sample_weight_val"])
@pytest.mark.parametrize("error", [Fault, FloatingPointError, MemoryError, KeyboardInterrupt])
def test_an_argument_that_breaks_leaves_the_estimator_as_it_was(argument, error):
    model, before = half_fitted()
    good = {"X": IRIS_X[:100], "y": IRIS_Y[:100], "X_val": IRIS_X[:100], "y_val": IRIS_Y[:100]}
    with pytest.raises(error, match="of an array"):
        model.fit(**good | {argument: Bad("__array__", error)})
    assert_unchanged(model, before)
    if not argument.endswith("val"):
        good = {"X": IRIS_X[:100], "y": IRIS_Y[:100], "sample_weight": None}
        bad = good | {argument: Bad("__array__", error)}
        for learn in (lambda: model.fit_batches([tuple(bad.values())]), lambda: model.partial_fit(**bad)):
            with pytest.raises(error, match="of an array"):
                learn()
            assert_unchanged(model, before)


# --- NumPy's error settings ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "learn",
    [
        lambda: GDLogisticRegression(C=np.inf, random_state=0).fit(X[::2], Y[::2]),
        lambda: GDLogisticRegression(C=1e6, random_state=0).fit(np.vstack([X, 1e3 * X]), np.tile(Y, 2)),
        lambda: GDLogisticRegression(C=1e6, random_state=0).fit(sp.csr_array(X.astype(np.float32)), Y),
        lambda: GDLogisticRegression(C=1e6, random_state=0).fit_batches(batches(X, Y)),
        lambda: GDLogisticRegression().partial_fit(1e3 * IRIS_X, IRIS_Y, [0, 1, 2]).partial_fit(IRIS_X, IRIS_Y),
        lambda: GDLogisticRegression(C=1e6, random_state=0, solver="sgd", max_iter=2).fit(1e3 * X, Y),
        lambda: GDLogisticRegression(random_state=0, solver="gd", max_iter=2, early_stopping=True).fit(X, Y),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_caller_who_raises_all_numpy_errors_gets_the_same_fit(learn):
    expected = learn()
    with np.errstate(all="raise"):
        settings = np.geterr()
        model = learn()
        far = (IRIS_X if len(model.classes_) == 3 else X) * 1e3
        probabilities, logs = model.predict_proba(far), model.predict_log_proba(far)
        assert np.geterr() == settings
    np.testing.assert_array_equal(model.coef_, expected.coef_)
    np.testing.assert_array_equal(probabilities, expected.predict_proba(far))
    np.testing.assert_array_equal(logs, expected.predict_log_proba(far))


@pytest.mark.parametrize("setting", ["ignore", "warn", "raise", "call"])
def test_an_overflow_is_named_whatever_numpys_error_settings_are(setting):
    weight = np.full(len(Y), 1e308)
    model, before = half_fitted()
    with np.errstate(all=setting):
        settings = np.geterr()
        for fit in (
            lambda: model.fit(X, Y, weight),
            lambda: model.fit_batches(batches(X, Y, weight)),
            lambda: model.partial_fit(X[:, :4], Y, sample_weight=weight),
            lambda: c_min(X, Y, sample_weight=weight),
        ):
            with pytest.raises(ValueError, match="X or sample_weight is too large for float64"):
                fit()
            assert_unchanged(model, before)
            assert np.geterr() == settings


# --- A fault at any block --------------------------------------------------------------------------------


def raise_memory_error():
    raise MemoryError


@fits
@pytest.mark.filterwarnings("ignore:J is about")
def test_memory_that_runs_out_at_any_block_leaves_the_estimator_as_it_was(make, few_or_many_threads, monkeypatch):
    (model, before), (expected, _) = make(), make()
    for error in at_every_block(lambda: model.fit(FEW_X, FEW_Y), raise_memory_error, monkeypatch):
        assert isinstance(error, MemoryError)
        assert_unchanged(model, before)
        assert ONE_BLAS_THREAD._users == 0
    np.testing.assert_array_equal(model.coef_, expected.fit(FEW_X, FEW_Y).coef_)  # the last fit met no fault


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


@fits
def test_an_interrupt_at_any_block_either_keeps_the_best_or_changes_nothing(make, few_or_many_threads, monkeypatch):
    (model, before), kept = make(), []
    with warnings.catch_warnings(record=True) as record:
        warnings.simplefilter("always")
        for error in at_every_block(lambda: model.fit(FEW_X, FEW_Y), press_ctrl_c, monkeypatch):
            kept.append(error is None)
            if error is not None:
                assert_unchanged(model, before)
                continue
            assert "Interrupted" in str(record.pop().message)
            assert not model.converged_
            assert model.loss_curve_.min() <= np.log(2)  # J at zero
            assert np.isfinite(model.coef_).all()
            model.__dict__ = before.copy()
    assert [key for key, _ in groupby(kept)] == [
        False,
        True,
    ]  # before the first step; later, also while the end is judged


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_an_interrupt_while_blas_is_limited_leaves_no_limit(n, monkeypatch):
    libraries, _ = ONE_BLAS_THREAD.find()
    count = 0
    original = type(libraries[0]).set_num_threads

    def set_num_threads(library, number):
        nonlocal count
        count += 1
        if count == n:
            raise KeyboardInterrupt
        return original(library, number)

    for kind in {type(library) for library in libraries}:
        monkeypatch.setattr(kind, "set_num_threads", set_num_threads)
    if n > 2 * len(libraries):
        pytest.skip("BLAS is one library here")
    with pytest.raises(KeyboardInterrupt), ONE_BLAS_THREAD:
        pass


def test_where_no_thread_can_be_had_the_fit_does_without(two_threads, monkeypatch):
    def start(thread):
        raise RuntimeError("can't start new thread")

    expected = GDLogisticRegression(random_state=0).fit(X, Y)
    monkeypatch.setattr(threading.Thread, "start", start)
    np.testing.assert_array_equal(GDLogisticRegression(random_state=0).fit(X, Y).coef_, expected.coef_)


CHANGES = {
    "other values": lambda X: X.__setitem__(slice(None), np.random.default_rng(0).standard_normal(X.shape)),
    "signs": lambda X: np.negative(X, out=X),
    "too large": lambda X: np.multiply(X, 1e200, out=X),
    "nan": lambda X: X.__setitem__(0, np.nan),
}


@pytest.mark.parametrize("name", ["auto", "gd"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_X_that_changes_at_any_block_gives_finite_coefficients_or_an_error(make, change, monkeypatch):
    monkeypatch.setattr(layout, "LAYOUT", Layout(block_bytes=FEW_X.nbytes))
    (model, before), changing = make(), FEW_X.copy()

    def fit():
        changing[:] = FEW_X
        model.__dict__ = before.copy()
        try:
            model.fit(changing, FEW_Y)
        except (ValueError, RuntimeError, np.linalg.LinAlgError):  # of ours, of ARPACK, of LAPACK
            assert_unchanged(model, before)
        assert np.isfinite(model.coef_).all()

    assert all(error is None for error in at_every_block(fit, lambda: change(changing), monkeypatch))


def test_failed_fits_leave_no_memory_and_no_open_files(two_threads, tmp_path):
    np.save(tmp_path / "X.npy", X)
    files = Path("/proc/self/fd")

    def fail():
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        sources = [Source(6), lambda: ((mapped[i : i + 100], Y[i : i + 50 + i]) for i in range(0, 500, 50))]
        for fit in (
            lambda: model.fit_batches(sources[0]),
            lambda: model.fit_batches(sources[1]),
            lambda: model.fit(mapped, Y, X_val=X, y_val=Y + 1),
            lambda: model.set_params(C=1.0).fit(mapped, Y, np.full(len(Y), 1e308)),
        ):
            with pytest.raises((Fault, ValueError)):
                fit()

    def measure():
        gc.collect()
        return tracemalloc.get_traced_memory()[0], len(list(files.iterdir())) if files.exists() else 0

    model, _ = half_fitted()
    tracemalloc.start()
    for _ in range(3):
        fail()
    memory, n_files = measure()
    for _ in range(8):
        fail()
    grown = measure()
    tracemalloc.stop()
    assert grown[0] - memory < X.nbytes  # not one copy in 32 fits; what measures coverage grows, too
    assert grown[1] <= n_files
