"""partial_fit: one pass over batches comes near the optimum of all rows, and its state can be trusted."""

import pickle
import tracemalloc
from collections import Counter

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.special import expit
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.metrics import log_loss

from gdlogit import GDLogisticRegression, online


def raw(n=5000, p=6, k=2, seed=0):
    """Rows on raw scales, with an offset like that of a year."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    z = X @ rng.standard_normal((p, k)) + rng.gumbel(size=(n, k))
    X[:, 0] = 2000 + 5 * X[:, 0]
    X[:, 1:] *= 10.0 ** np.linspace(-3, 5, p - 1)
    return X, z.argmax(axis=1)


def stream(X, y, size, model=None, **arguments):
    model = model or GDLogisticRegression(C=1e6)
    for start in range(0, len(y), size):
        part = slice(start, start + size)
        model.partial_fit(X[part], y[part], classes=np.unique(y), **arguments)
    return model


def loss(model, X, y):
    return log_loss(y, model.predict_proba(X))


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("size", [7, 100, 1000])
def test_one_pass_over_raw_rows_comes_near_the_optimum(k, size):
    X, y = raw(k=k)
    optimum = GDLogisticRegression(C=1e6, random_state=0).fit(X, y)
    assert loss(stream(X, y, size), X, y) < loss(optimum, X, y) + 1e-4


def test_rows_that_still_wait_are_learned_from_exactly():
    X, y = load_breast_cancer(return_X_y=True)
    ours = stream(X, y, 50, GDLogisticRegression())
    assert loss(ours, X, y) < loss(GDLogisticRegression().fit(X, y), X, y) + 1e-4  # the penalty counted once


@pytest.mark.parametrize("container", [sp.csr_array, sp.csr_matrix])
def test_csr_is_learned_as_dense_is(container):
    X, y = raw()
    X[:, 0] -= 2000
    ours, theirs = stream(container(X), y, 300), stream(X, y, 300)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)


def test_dense_and_csr_batches_mix():
    X, y = raw()
    model = GDLogisticRegression(C=1e6)
    for i, part in enumerate(np.array_split(np.arange(len(y)), 12)):
        model.partial_fit(sp.csr_array(X[part]) if i % 2 else X[part], y[part], classes=[0, 1])
    np.testing.assert_allclose(model.coef_, stream(X, y, 417).coef_, rtol=1e-2)


def test_beyond_the_full_matrix_a_diagonal_still_learns():
    rng = np.random.default_rng(0)
    X = sp.random_array((4000, 2000), density=0.01, random_state=rng, format="csr")
    y = (rng.random(4000) < expit(4 * (X @ rng.standard_normal(2000)))).astype(int)
    model = stream(X, y, 1000, GDLogisticRegression())
    assert model._stream.past.hessian.shape == (2001, 1)
    assert loss(model, X, y) < loss(GDLogisticRegression().fit(X, y), X, y) + 0.05  # correlations are lost


# --- CSR of many features ----------------------------------------------------------------------------------------


def words(n, p, rng, per_row=30):
    """Rows of a few words each out of many, and labels that they tell."""
    X = sp.random_array((n, p), density=per_row / p, random_state=rng, format="csr")
    w = 4 * rng.standard_normal(p)
    return X, (rng.random(n) < expit(X @ w)).astype(int)


def peak_bytes(f):
    """The most memory that f takes, besides what is there before."""
    tracemalloc.start()
    try:
        f()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_of_csr_is_a_few_numbers_a_feature_and_the_entries_of_the_batch():
    p, n = 2**18, 400
    X, y = words(4 * n, p, np.random.default_rng(0))
    model = GDLogisticRegression()
    peak = peak_bytes(lambda: stream(X, y, n, model))
    a_number_each, entries = 8 * p, 12 * X[:1600].nnz
    assert peak < 12 * a_number_each + 10 * entries  # an array of one batch's shape has 400 numbers a feature
    assert len(pickle.dumps(model)) < 4.1 * a_number_each + 1.5 * entries


@pytest.mark.parametrize("first", ["csr", "dense"])
def test_memory_of_csr_is_that_whatever_form_the_batches_before_had(first):
    p = 20_000
    X, y = words(3000, p, np.random.default_rng(0))
    few = X[:10].toarray()
    model = GDLogisticRegression().partial_fit(few if first == "dense" else X[:10], y[:10], [0, 1])
    model.partial_fit(X[:10] if first == "dense" else few, y[:10])
    peak = peak_bytes(lambda: model.partial_fit(X, y))
    assert peak < 40 * 8 * p + 20 * 12 * X.nnz + 10 * few.nbytes < X.shape[0] * p * 8 / 10


def test_rows_of_csr_that_wait_are_learned_from_exactly():
    X, y = words(900, 5000, np.random.default_rng(0))
    model = stream(X, y, 60, GDLogisticRegression(C=10))

    def J(model):
        return loss(model, X, y) + (model.coef_**2).sum() / (2 * 10 * len(y))

    assert J(model) < J(GDLogisticRegression(C=10).fit(X, y)) + 2 * online.BATCH_EXCESS / len(y)


def test_features_that_no_row_has_stay():
    X, y = words(3000, 5000, np.random.default_rng(0))
    model = stream(X[:2000], y[:2000], 1000, GDLogisticRegression())
    before, others = model.coef_.copy(), np.setdiff1d(np.arange(5000), X[2000:2010].indices)
    model.partial_fit(X[2000:2010], y[2000:2010])
    np.testing.assert_array_equal(model.coef_[0, others], before[0, others])
    assert (model.coef_ != before).any()


def test_rows_without_a_word_teach_the_intercept_alone():
    X, y = words(1000, 5000, np.random.default_rng(0))
    model = stream(X, y, 1000, GDLogisticRegression())
    before = model.coef_.copy(), model.intercept_.copy()
    model.partial_fit(sp.csr_array((20, 5000)), np.ones(20))
    np.testing.assert_array_equal(model.coef_, before[0])
    assert model.intercept_ > before[1]


def test_another_c_moves_features_that_no_row_has():
    X, y = words(2000, 5000, np.random.default_rng(0))
    model = stream(X, y, 1000, GDLogisticRegression())
    model.set_params(C=1e-9).partial_fit(X[:1], y[:1])
    assert np.abs(model.coef_).max() < 1e-5


def test_text_is_learned_as_well_as_by_fit_on_all_rows():
    X, y = words(6000, 3000, np.random.default_rng(0))
    ours = stream(X[:4000], y[:4000], 100, GDLogisticRegression(C=10))
    theirs = GDLogisticRegression(C=10).fit(X[:4000], y[:4000])
    assert loss(ours, X[4000:], y[4000:]) < loss(theirs, X[4000:], y[4000:]) + 0.01


# --- One row at a time ---------------------------------------------------------------------------------------------


@pytest.fixture
def count(monkeypatch):
    """The number of calls of some functions, which are called as they would be."""
    calls = Counter()

    def counted(owner, name):
        f = getattr(owner, name)

        def call(*arguments, **keywords):
            calls[name] += 1
            return f(*arguments, **keywords)

        monkeypatch.setattr(owner, name, call)

    counted(online, "Cholesky")
    counted(online.Present, "at")
    return calls


@pytest.mark.parametrize(("n", "p"), [(600, 100), (300, 300)])
def test_one_row_at_a_time_takes_few_passes_and_hardly_a_factorisation(n, p, count):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    y = (rng.random(n) < expit(2 / np.sqrt(p) * X @ rng.standard_normal(p))).astype(int)
    stream(X, y, 1, GDLogisticRegression())
    assert count["Cholesky"] < n / 10  # one for each step before rows were kept apart
    assert count["at"] < 5 * n


def test_one_row_at_a_time_learns_what_all_rows_together_do():
    X, y = load_breast_cancer(return_X_y=True)

    def J(model):
        return loss(model, X, y) + (model.coef_**2).sum() / (2 * len(y))

    ours = stream(X, y, 1, GDLogisticRegression())
    assert J(ours) < J(GDLogisticRegression().fit(X, y)) + 2 * online.BATCH_EXCESS / len(y)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("far", [10.0, 1e3, 1e6])
def test_a_row_far_on_the_wrong_side_is_not_taken_far_beyond_the_others(k, far):
    X = np.array([[0.0], [1.0]] * 5 + [[far]])
    y = np.array([0, 1] * 5 + [0])
    model = GDLogisticRegression(C=np.inf).partial_fit(X[:10], y[:10], range(k)).partial_fit(X[10:], y[10:])
    optimum = GDLogisticRegression(C=1e9).fit(X, y)
    assert log_loss(y, model.predict_proba(X), labels=range(k)) < loss(optimum, X, y) + 0.01


def test_another_c_is_taken_at_once():
    X, y = raw(n=300)
    ours = stream(X, y, 1, GDLogisticRegression(C=1e6))
    ours.set_params(C=1e-3).partial_fit(X[:1], y[:1])
    theirs = GDLogisticRegression(C=1e-3).fit(np.vstack([X, X[:1]]), np.append(y, y[0]))
    assert loss(ours, X, y) == pytest.approx(loss(theirs, X, y), abs=2 * online.BATCH_EXCESS)


# --- Weights ---------------------------------------------------------------------------------------------------------


def test_weight_two_is_the_row_twice():
    X, y = raw(n=400)
    twice = stream(np.repeat(X, 2, axis=0), np.repeat(y, 2), 800)
    ours = GDLogisticRegression(C=1e6).partial_fit(X, y, [0, 1], np.full(400, 2.0))
    np.testing.assert_allclose(ours.coef_, twice.coef_, rtol=1e-6)
    by_class = GDLogisticRegression(C=1e6, class_weight={0: 2, 1: 2}).partial_fit(X, y, [0, 1])
    np.testing.assert_allclose(by_class.coef_, ours.coef_, rtol=1e-12)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_without_a_penalty_the_unit_of_the_weights_does_not_matter(unit):
    X, y = raw()
    ours = stream(X, y, 5000, GDLogisticRegression(C=np.inf), sample_weight=np.full(5000, unit))
    assert loss(ours, X, y) < loss(stream(X, y, 5000), X, y) + 1e-5


@pytest.mark.parametrize("seed", range(5))
def test_separable_rows_do_not_lead_those_after_them_astray(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_t(1.2, (30, 10)) * 100, np.arange(30) % 3 // 2
    model = stream(X, y, 3, GDLogisticRegression(C=np.inf))
    assert loss(model, X, y) < loss(GDLogisticRegression(C=1e9).fit(X, y), X, y) + 1e-2


def test_a_row_that_a_feature_of_a_huge_scale_tells_apart_is_not_forgotten():
    X, y, weight = np.diag([0, 1e-4, 1e7])[:, 1:], np.arange(3), np.array([4, 1e-7, 0.3])
    model = GDLogisticRegression(C=1e5)
    for i in range(3):
        model.partial_fit(X[[i]], y[[i]], y, weight[[i]])
    assert log_loss(y, model.predict_proba(X), sample_weight=weight) < 0.01


@pytest.mark.parametrize("C", [1.0, np.inf])
@pytest.mark.parametrize("k", [2, 3])
def test_one_row_at_a_time_and_one_class_only_stay_finite(C, k):
    X, y = raw(n=60, k=k)
    X = np.hstack([X, np.zeros((60, 1)), np.ones((60, 1))])  # nothing to learn from these columns
    order = np.argsort(y)  # one class, then the next
    model = GDLogisticRegression(C=C)
    for i in order:
        model.partial_fit(X[[i]], y[[i]], classes=range(k))
        assert np.isfinite(model.coef_).all()
        assert np.isfinite(model.intercept_).all()
    assert np.isfinite(model.progressive_loss_curve_).all()


def test_progressive_loss_is_measured_before_learning():
    X, y = raw()
    model = stream(X, y, 500)
    before = stream(X[:4500], y[:4500], 500)
    assert model.progressive_loss_curve_[0] == pytest.approx(np.log(2))
    assert model.progressive_loss_curve_[-1] == pytest.approx(loss(before, X[4500:], y[4500:]))
    assert len(model.progressive_loss_curve_) == 10


def test_fit_after_partial_fit_starts_afresh():
    X, y = load_iris(return_X_y=True)
    ours = stream(X, y, 50, GDLogisticRegression(random_state=0)).fit(X, y)
    np.testing.assert_array_equal(ours.coef_, GDLogisticRegression(random_state=0).fit(X, y).coef_)
    again = ours.partial_fit(X, y)
    np.testing.assert_array_equal(again.coef_, stream(X, y, 150, GDLogisticRegression()).coef_)


@pytest.mark.parametrize(
    ("parameters", "y", "classes", "message"),
    [
        ({}, [0, 1], None, "classes must be passed on the first call"),
        ({}, [0, 1], [0], "at least two classes"),
        ({}, [0, 1], [], "at least two classes"),
        ({}, [None, None], [0, 1], r"y must hold .*it holds \[None\]"),
        ({}, ["a", "b"], np.array(["a", None]), r"classes must hold .*it holds \[None, 'a'\]"),
        ({"fit_intercept": "yes"}, [0, 1], [0, 1], "fit_intercept must be True or False; got 'yes'"),
        ({}, [0, 2], [0, 1], r"y must hold labels of classes=.*got array\(\[2\]\)"),
        ({"class_weight": "balanced"}, [0, 1], [0, 1], "class_weight='balanced' is not supported"),
    ],
)
def test_errors_leave_the_estimator_as_it_was(parameters, y, classes, message):
    model = GDLogisticRegression(**parameters)
    with pytest.raises(ValueError, match=message):
        model.partial_fit([[0.0], [1.0]], y, classes)
    assert set(vars(model)) == set(vars(GDLogisticRegression()))


def test_a_warm_start_goes_on_from_where_the_stream_stands():
    X, y = raw()
    cold = GDLogisticRegression(random_state=0).fit(X, y)
    warm = stream(X, y, 100, GDLogisticRegression(random_state=0)).set_params(warm_start=True).fit(X, y)
    assert warm.n_iter_ < cold.n_iter_
    np.testing.assert_allclose(warm.coef_, cold.coef_, rtol=1e-4)


def test_an_l1_penalty_hides_it():
    assert not hasattr(GDLogisticRegression(l1_ratio=0.5), "partial_fit")
    with pytest.raises(AttributeError) as error:
        GDLogisticRegression(l1_ratio=0.5).partial_fit([[0.0], [1.0]], [0, 1], [0, 1])
    assert "l1_ratio must be 0; got 0.5" in str(error.value.__cause__)


def test_later_classes_and_features_are_checked():
    X, y = raw(n=100)
    model = stream(X, y, 50)
    with pytest.raises(ValueError, match="not the same as on the first call"):
        model.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, :3], y)
    assert len(model.progressive_loss_curve_) == 2


def test_a_newton_method_that_ends_early_loses_nothing(monkeypatch):
    X, y = raw()
    optimum = loss(GDLogisticRegression(C=1e6).fit(X, y), X, y)
    monkeypatch.setattr(online, "MOST_STEPS", 2)
    assert loss(stream(X, y, 100), X, y) < optimum + 1e-3


def test_a_batch_that_no_step_fits_is_learned_with_the_next(monkeypatch):
    X, y = raw()
    model = GDLogisticRegression(C=1e6)
    with monkeypatch.context() as patch:
        patch.setattr(online, "line_search", lambda present, point, *_, **__: (point, 0.0))
        model.partial_fit(X[:1000], y[:1000], classes=[0, 1])
    assert not model.coef_.any()
    model.partial_fit(X[1000:1010], y[1000:1010])
    assert loss(model, X[:1000], y[:1000]) < 0.5 * np.log(2)
