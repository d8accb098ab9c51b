"""What inference refuses: a number that would not mean what it seems to. Each refusal names the way out."""

import warnings
from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from births import birthwt, drawn, fitted, inferred
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression

import gdlogit
from gdlogit import GDLogisticRegression, GDLogisticRegressionCV


def refused(match, model, X, y, *given, **asked):
    """Expect a ValueError."""
    with pytest.raises(ValueError, match=match):
        model.inference(X, y, *given, **asked)


def unconverged(X, y, **parameters):
    """A fit that warns."""
    with pytest.warns(ConvergenceWarning):
        return fitted(X, y, **parameters)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n", [300, 20_000])
def test_other_rows_are_refused(n_classes, n):
    X, y, weight = drawn(n_classes, n=n)
    model = fitted(X, y)
    for others in (drawn(n_classes, n=n, seed=1)[:2], (X[:-1], y[:-1]), (X, np.roll(y, 1)), (X + 0.01, y)):
        refused("not the rows", model, *others)
    refused("not the rows", model, X, y, weight)
    refused("not the rows", model, np.vstack([X[1:], X[:1] + 1]), np.append(y[1:], y[0]))
    model.inference(X[::-1], y[::-1])


@pytest.mark.parametrize("parameters", [{"C": 1.0}, {"C": 1.0, "l1_ratio": 1.0}])
def test_other_rows_are_refused_with_a_penalty(parameters):
    X, y, _ = drawn(2)
    model = fitted(X, y, **parameters)
    refused("not the rows", model, X, np.roll(y, 1), method="debiased")
    refused("not the rows", model, X[:-1], y[:-1], method="debiased")


@pytest.mark.parametrize("parameters", [{"C": 1.0}, {"C": 1e6, "l1_ratio": 0.5}])
def test_a_penalty_is_refused(parameters):
    X, y, _ = drawn(2)
    refused("C=.*C=np.inf.*method='debiased'.*method='bayes'", fitted(X, y, **parameters), X, y)


def test_separable_classes_are_refused_by_name():
    X, y = birthwt()
    X = X.assign(perfect=y * (X.age > 30))
    refused(r"separable.*along \+1 perfect.*bias_reduction='firth'", unconverged(X, y), X, y)


def test_a_fit_that_has_not_converged_is_refused():
    X, y = birthwt()
    refused("not converged.*max_iter=1 ", unconverged(X, y, max_iter=1), X, y)


def test_a_fit_of_another_kind_is_refused():
    X, y = birthwt()
    refused("held-out.*early_stopping=False", fitted(X, y, early_stopping=True, C=1.0), X, y)
    stream = GDLogisticRegression(C=np.inf).partial_fit(X, y, classes=[0, 1])
    refused("partial_fit", stream, X, y)
    with pytest.raises(NotFittedError):
        GDLogisticRegression().inference(X, y)
    with pytest.raises(TypeError, match="must be a GDLogisticRegression"):
        gdlogit.inference(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), X, y)


def test_a_penalty_that_the_rows_have_chosen_is_refused():
    X, y, _ = drawn(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the grid is short
        model = GDLogisticRegressionCV(Cs=3, cv=2, random_state=0).fit(X, y)
    for ask in (model.inference, partial(gdlogit.inference, model)):
        with pytest.raises(ValueError, match=r"chosen C by cross-validation.*GDLogisticRegression\(C=np.inf\)"):
            ask(X, y)


def test_features_that_are_left_out_are_refused():
    X, y, _ = drawn(2)
    refused("leaves some features out", fitted(X, y, penalty_factor=[1, np.inf, 1, 1]), X, y)


def test_class_weights_are_not_frequencies():
    X, y = birthwt()
    model = fitted(X, y, class_weight="balanced")
    refused("class_weight='balanced'.*weights='sampling'", model, X, y)
    assert np.isfinite(model.inference(X, y, weights="sampling").bse).all()


def many_flags():
    """More parameters than an information is formed of: flags in CSR."""
    rng = np.random.default_rng(0)
    X = sp.random_array((20_000, 1600), density=0.01, format="csr", random_state=rng)
    X.data[:] = 1
    z = X @ (0.5 * rng.standard_normal(1600))
    return X, (rng.random(20_000) < 1 / (1 + np.exp(-z))).astype(int)


def test_more_parameters_than_a_matrix_is_formed_of_want_names():
    X, y = many_flags()
    model = fitted(X, y)
    refused(r"1601 parameters.*features=\[", model, X, y)
    result = model.inference(X, y, features=["const", "x3"])
    x = np.column_stack([np.ones(len(y)), X.toarray()])
    p = model.predict_proba(X)[:, 1]
    V = np.linalg.inv((x * (p * (1 - p))[:, None]).T @ x)
    np.testing.assert_allclose(result.bse[[0, 4]], np.sqrt(V.diagonal()[[0, 4]]), rtol=1e-4)
    assert np.isnan(result.bse[[1, 2, 3, 5]]).all()


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"cov_type": "HC4"}, "cov_type must be one of .*'HC3'.*got 'HC4'"),
        ({"weights": "analytic"}, "weights must be one of"),
        ({"method": "exact"}, "method must be one of"),
        ({"reference": 7}, "reference must be one of the classes.*got 7"),
        ({"cov_type": "cluster"}, "needs groups"),
        ({"groups": np.zeros(189)}, "groups are for cov_type='cluster'"),
        ({"cov_type": "cluster", "groups": np.zeros(189)}, "at least two"),
        ({"cov_type": "cluster", "groups": np.zeros(7)}, "inconsistent numbers of samples"),
        ({"method": "bayes"}, "needs a finite C"),
    ],
)
def test_arguments_that_are_not_accepted_are_named(asked, match):
    X, y = birthwt()
    refused(match, fitted(X, y), X, y, **asked)


def test_terms_that_do_not_exist_are_named():
    X, y = birthwt()
    result = inferred(X, y)
    with pytest.raises(ValueError, match="'snoke' is no term.*smoke"):
        result.wald_test("snoke")
    with pytest.raises(ValueError, match=r"shape \(n, 10\)"):
        result.wald_test(np.eye(3))
    with pytest.raises(ValueError, match="alpha must be between 0 and 1"):
        result.conf_int(alpha=95)


def test_labels_of_other_classes_are_refused():
    X, y = birthwt()
    refused("labels", fitted(X, y), X, y + 5)


# --- Some features --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("reference", [0, 1])
def test_some_features_have_the_errors_that_they_have_among_all(n_classes, reference):
    X, y, weight = drawn(n_classes)
    X = X * [1e-3, 1.0, 10.0, 1e3] + [0, 50, 0, 0]
    model = fitted(X, y, weight)
    some = model.inference(X, y, weight, features=["x1", 0], reference=reference)
    full = model.inference(X, y, weight, reference=reference)
    np.testing.assert_allclose(some.params, full.params, rtol=1e-6)
    np.testing.assert_allclose(some.bse[[0, 2]], full.bse[[0, 2]], rtol=1e-6)
    assert np.isnan(some.bse[[1, 3, 4]]).all()
    assert some.llf == pytest.approx(full.llf)
    assert some.wald_test(["x1"]).statistic == pytest.approx(full.wald_test(["x1"]).statistic, rel=1e-6)
    assert "x3" not in str(some.summary())
    assert "3 other terms" in str(some.summary())


@pytest.mark.parametrize(
    "ask",
    [
        lambda r: r.lr_test(),
        lambda r: r.conf_int(method="profile"),
        lambda r: r.margins(),
        lambda r: r.contrast("x1", 1, 0),
        lambda r: r.predict(np.zeros((1, 4))),
        lambda r: r.hat,
        lambda r: r.cooks_distance,
        lambda r: r.wald_test("x3"),
    ],
)
def test_what_needs_all_parameters_is_refused_for_some(ask):
    X, y, _ = drawn(2)
    with pytest.raises(ValueError, match="features="):
        ask(inferred(X, y, features=["x1"]))


def test_a_collinear_feature_has_no_error_among_some():
    X, y, _ = drawn(2)
    X = np.column_stack([X, X[:, 0] - X[:, 1]])
    with pytest.raises(ValueError, match="x4.*collinear"):
        inferred(X, y, features=["x4"])


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"features": "x1"}, "must be a list"),
        ({"features": []}, "must be a list"),
        ({"features": ["x9"]}, "'x9' is no term"),
        ({"features": ["x1"], "cov_type": "HC0"}, "is for cov_type='nonrobust'"),
    ],
)
def test_features_that_cannot_be_asked_for_are_named(asked, match):
    X, y, _ = drawn(2)
    refused(match, fitted(X, y), X, y, **asked)


# --- Penalised fits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parameters", [{"C": 0.1}, {"C": 10.0, "l1_ratio": 1.0}, {"C": 1.0, "l1_ratio": 0.5}])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_debiased_coefficients_are_those_of_the_maximum_of_the_likelihood(n_classes, parameters):
    X, y, _ = drawn(n_classes)
    debiased = fitted(X, y, **parameters).inference(X, y, method="debiased")
    plain = inferred(X, y)
    np.testing.assert_allclose(debiased.params, plain.params, rtol=1e-7)
    np.testing.assert_allclose(debiased.bse, plain.bse, rtol=1e-7)
    assert debiased.lr_test().statistic == pytest.approx(plain.lr_test().statistic)


def test_debiasing_separable_classes_is_refused():
    X, y = birthwt()
    X = X.assign(perfect=y * (X.age > 30))
    refused("separable.*perfect.*bias_reduction='firth'", fitted(X, y, C=1.0), X, y, method="debiased")


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("reference", [0, 1])
def test_the_posterior_has_the_curvature_of_the_penalised_likelihood(n_classes, reference):
    X, y, weight = drawn(n_classes)
    model = fitted(X, y, weight, C=0.5)
    result = model.inference(X, y, weight, method="bayes", reference=reference)
    theta = np.vstack([model.intercept_, model.coef_.T])
    x = np.column_stack([np.ones(len(y)), X])
    p = model.predict_proba(X)
    k = theta.shape[1]
    B = (
        (p[:, 1] * p[:, 0])[:, None, None]
        if k == 1
        else np.einsum("ic,cd->icd", p, np.eye(len(p[0]))) - p[:, :, None] * p[:, None]
    )
    H = np.einsum("i,ij,il,icd->cjdl", weight, x, x, B) + np.einsum(
        "cd,jl->cjdl", np.eye(k), np.diag([1e-9, 2, 2, 2, 2])
    )
    V = np.linalg.inv(H.reshape(5 * k, 5 * k)).reshape(k, 5, k, 5)
    if k == 1:
        sign = 1 - 2 * reference
        np.testing.assert_allclose(result.params, sign * theta[:, 0], rtol=1e-6)
        np.testing.assert_allclose(result.bse, np.sqrt(V[0, :, 0].diagonal()), rtol=1e-6)
    else:
        others = [c for c in range(k) if c != reference]
        np.testing.assert_allclose(result.params, theta[:, others] - theta[:, [reference]], rtol=1e-5)
        A = np.eye(k)[others] - np.eye(k)[reference]
        contrasts = np.einsum("ac,cjdl,bd->ajbl", A, V, A)
        np.testing.assert_allclose(result.bse, np.sqrt(np.einsum("ajaj->ja", contrasts)), rtol=1e-5)


def test_a_posterior_has_intervals_and_no_tests():
    X, y, _ = drawn(2)
    result = fitted(X, y, C=1.0).inference(X, y, method="bayes")
    assert list(result.to_frame().columns) == ["coef", "std dev", "[0.025", "0.975]"]
    assert "P>" not in str(result.summary())
    assert result.llf == pytest.approx(np.sum(fitted(X, y, C=1.0).predict_log_proba(X)[np.arange(len(y)), y]))
    assert "P>|z|" not in result.margins().to_frame()
    for name in ("pvalues", "zvalues"):
        with pytest.raises(AttributeError, match="credible"):
            getattr(result, name)
    for ask in (lambda: result.wald_test("x1"), lambda: result.lr_test(), lambda: result.conf_int(method="profile")):
        with pytest.raises(ValueError, match="credible"):
            ask()
    with pytest.raises(AttributeError, match="credible"):
        _ = result.margins().pvalues
    assert np.isnan([result.llr, result.aic, result.bic]).all()


@pytest.mark.parametrize(
    ("parameters", "asked", "match"),
    [({"l1_ratio": 0.5}, {}, "l1_ratio=0"), ({}, {"cov_type": "HC0"}, "cov_type='nonrobust' only")],
)
def test_a_posterior_that_is_not_there_is_refused(parameters, asked, match):
    X, y, _ = drawn(2)
    refused(match, fitted(X, y, C=1.0, **parameters), X, y, method="bayes", **asked)
