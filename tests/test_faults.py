"""Faults: whatever breaks in the middle of a fit, nothing hangs or leaks, and the estimator is as it was, or usable."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.preprocessing import scale

from gdlogit import GDLogisticRegression, c_min

X, Y = load_breast_cancer(return_X_y=True)
X = scale(X)
IRIS_X, IRIS_Y = load_iris(return_X_y=True)


class Fault(Exception):
    """What is raised on purpose."""


def batches(*arrays, size=150):
    return [tuple(a[i : i + size] for a in arrays) for i in range(0, len(arrays[1]), size)]


def assert_unchanged(model, before):
    """The estimator has the attributes that it had: the very objects."""
    assert vars(model).keys() == before.keys()
    assert all(held is before[name] for name, held in vars(model).items())


def half_fitted(**parameters):
    """A model of the first two classes of iris, and what it consists of."""
    model = GDLogisticRegression(random_state=0, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few iterations
        model.fit(IRIS_X[:100], IRIS_Y[:100])
    return model, vars(model).copy()


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


class Source:
    """Batches of which the n-th ever raises an error; and in what state NumPy's error settings are at each."""

    def __init__(self, n=None, error=Fault):
        self.n, self.error, self.count, self.open, self.settings = n, error, 0, 0, []

    def __call__(self):
        self.open += 1
        try:
            with np.errstate(divide="print"):
                for batch in batches(X, Y):
                    self.count += 1
                    self.settings.append(np.geterr())
                    if self.count == self.n:
                        raise self.error("of a source")
                    yield batch
        finally:
            self.open -= 1


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
        lambda: GDLogisticRegression(C=1e6).fit(np.vstack([X, 1e3 * X]), np.tile(Y, 2)),
        lambda: GDLogisticRegression(C=1e6).fit(sp.csr_array(X.astype(np.float32)), Y),
        lambda: GDLogisticRegression(C=1e6).fit_batches(batches(X, Y)),
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
        rows = (IRIS_X if len(model.classes_) == 3 else X) * 1e3
        probabilities, logs = model.predict_proba(rows), model.predict_log_proba(rows)
        assert np.geterr() == settings
    np.testing.assert_array_equal(model.coef_, expected.coef_)
    np.testing.assert_array_equal(probabilities, expected.predict_proba(rows))
    np.testing.assert_array_equal(logs, expected.predict_log_proba(rows))


@pytest.mark.parametrize("setting", ["ignore", "warn", "raise", "call"])
def test_an_overflow_is_named_whatever_numpys_error_settings_are(setting):
    large, weight = np.where(Y[:, None], 1e200, 1.0) * X, np.full(len(Y), 1e308)
    model, before = half_fitted()
    with np.errstate(all=setting):
        settings = np.geterr()
        for fit in (
            lambda: model.fit(large, Y),
            lambda: model.fit(X, Y, weight),
            lambda: model.fit_batches(batches(large, Y)),
            lambda: model.fit_batches(batches(X, Y, weight)),
            lambda: model.partial_fit(X[:, :4], Y, sample_weight=weight),
            lambda: c_min(X, Y, sample_weight=weight),
        ):
            with pytest.raises(ValueError, match="X or sample_weight is too large for float64"):
                fit()
            assert_unchanged(model, before)
            assert np.geterr() == settings
