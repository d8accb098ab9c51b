"""Sparse X in every form that SciPy has for it: the answer is that of the same numbers in a dense array."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import make_classification
from variants import with_settings

from gdlogit import GDLogisticRegression
from gdlogit.data.csr import CsrBlock, compressed
from gdlogit.problem import Problem
from gdlogit.solve import Settings, solve

N, P = 300, 12


def example(n_classes=3):
    X, y = make_classification(N, P, n_informative=6, n_classes=n_classes, flip_y=0.2, random_state=0)
    X = np.round(16 * X) / 16  # exact in float32
    X[np.random.default_rng(0).random(X.shape) < 0.7] = 0
    return X, y


def with_indices(X, dtype):
    X.indices, X.indptr = X.indices.astype(dtype), X.indptr.astype(dtype)
    return X


def unsorted(X):
    X = sp.csr_array(X)
    for row in range(X.shape[0]):
        span = slice(X.indptr[row], X.indptr[row + 1])
        X.indices[span], X.data[span] = X.indices[span][::-1].copy(), X.data[span][::-1].copy()
    X.has_sorted_indices = False
    return X


def duplicated(X):
    """Each entry in three parts, of which two cancel."""
    X = sp.csr_array(X)
    data = (X.data[:, None] * [1.0, 3.0, -3.0]).ravel()
    return sp.csr_array((data, np.repeat(X.indices, 3), 3 * X.indptr), shape=X.shape)


def explicit_zeros(X):
    full = np.arange(0, X.size + 1, X.shape[1])
    return sp.csr_array((X.ravel(), np.tile(np.arange(X.shape[1]), len(X)), full), shape=X.shape)


FORMS = {
    "csr_array": sp.csr_array,
    "csr_matrix": sp.csr_matrix,
    "csc_array": sp.csc_array,
    "csc_matrix": sp.csc_matrix,
    "coo_array": sp.coo_array,
    "csr, int32 indices": lambda X: with_indices(sp.csr_array(X), np.int32),
    "csr, int64 indices": lambda X: with_indices(sp.csr_array(X), np.int64),
    "csc, int64 indices": lambda X: with_indices(sp.csc_array(X), np.int64),
    "unsorted": unsorted,
    "duplicated": duplicated,
    "explicit zeros": explicit_zeros,
}
forms = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def parts(X):
    return [X.data, X.row, X.col] if X.format == "coo" else [X.data, X.indices, X.indptr]


def fit_unchanged(X, y, variant=GDLogisticRegression, **parameters):
    """A fit of a read-only X, which is what it was before."""
    before = [part.copy() for part in parts(X)]
    for part in parts(X):
        part.flags.writeable = False
    model = variant(random_state=0, **parameters).fit(X, y)
    for part, was in zip(parts(X), before, strict=True):
        np.testing.assert_array_equal(part, was)
        assert part.dtype == was.dtype
    return model


def assert_same(ours, theirs, rtol):
    for name in ("coef_", "intercept_"):
        a, b = getattr(ours, name), getattr(theirs, name)
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * np.abs(b).max())


@forms
@pytest.mark.parametrize("n_dense", [1500, 0], ids=["Hessian", "products"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_default_finds_the_coefficients_of_the_dense_array(n_classes, n_dense, form):
    X, y = example(n_classes)
    variant = with_settings(formed_parameters=n_dense)
    dense = variant(tol=1e-14, random_state=0).fit(X, y)
    ours = fit_unchanged(form(X), y, variant, tol=1e-14)
    assert ours.converged_
    assert ours.coef_.dtype == np.float64
    assert_same(ours, dense, rtol=1e-8)
    np.testing.assert_allclose(ours.predict_proba(form(X)), dense.predict_proba(X), atol=1e-8)


@forms
def test_float32_stays_float32(form):
    X, y = example(2)
    ours = fit_unchanged(form(X).astype(np.float32), y, tol=1e-5)
    assert ours.coef_.dtype == np.float32
    assert_same(ours, GDLogisticRegression().fit(X, y), rtol=1e-2)


@forms
@pytest.mark.parametrize("solver", ["gd", "nesterov", "sgd"])
def test_textbook_solvers_take_the_same_steps(solver, form):
    X, y = example(2)
    fit = {"solver": solver, "tol": 1e-2, "max_iter": 100, "C": 0.1}
    assert_same(fit_unchanged(form(X), y, **fit), GDLogisticRegression(random_state=0, **fit).fit(X, y), rtol=1e-8)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("n_dense", [1500, 0], ids=["Hessian", "products"])
def test_an_offset_of_a_full_column_does_not_move_the_optimum(n_dense, fit_intercept):
    variant = with_settings(formed_parameters=n_dense)
    X, y = example(2)
    X[:, 3] += 1e4
    dense, ours = (
        variant(tol=1e-12, random_state=0, fit_intercept=fit_intercept).fit(Z, y) for Z in (X, sp.csr_array(X))
    )
    assert ours.converged_
    assert ours.loss_curve_[-1] == pytest.approx(dense.loss_curve_[-1], rel=1e-10)
    np.testing.assert_allclose(ours.decision_function(X), dense.decision_function(X), atol=1e-4)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_an_offset_costs_csr_no_more_precision_than_dense(n_classes):
    X, y = example(n_classes)
    X[:, 0] = np.arange(N) % 7 + 1e8  # no zero in it; in CSR, X^T X alone would say nothing of its spread
    dense, sparse = (GDLogisticRegression(tol=1e-13, random_state=0).fit(form, y) for form in (X, sp.csr_array(X)))
    assert sparse.converged_
    assert sparse.duality_gap_ < 1e-12
    np.testing.assert_allclose(sparse.coef_, dense.coef_, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_dense_rows_with_few_nonzero_entries_are_compressed(order, dtype):
    rng = np.random.default_rng(0)
    X = np.where(rng.random((700, 3000)) < 0.03, rng.standard_normal((700, 3000)), 0).astype(dtype, order=order)
    X[5], X[:, 7] = 0, 0
    found = compressed(X, 0.05)
    assert found.dtype == dtype
    assert found.has_canonical_format
    np.testing.assert_array_equal(found.toarray(), X)
    assert compressed(X, 0.02) is None


def test_dense_rows_whose_nonzero_entries_no_sample_shows_are_not_compressed():
    X = np.zeros((2000, 1000))
    X[1::2] = 1
    assert compressed(X, 0.05) is None


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_large_dense_table_of_flags_is_fitted_as_its_csr(fit_intercept):
    rng = np.random.default_rng(0)
    n, p = 4200, 2000
    X = np.zeros((n, p), np.float32)
    X[np.arange(n)[:, None], rng.integers(0, p, (n, 15))] = 1
    y = (X @ rng.standard_normal(p) + rng.logistic(size=n) > 0).astype(int)
    dense, sparse = (
        solve(Problem.of(form, y, np.ones(n), 2, C=1.0, intercept=fit_intercept), Settings())
        for form in (X, sp.csr_array(X))
    )
    assert isinstance(dense.coordinates.rows.block, CsrBlock)
    assert dense.has_converged
    np.testing.assert_allclose(dense.theta, sparse.theta, atol=1e-6 * np.abs(sparse.theta).max())
