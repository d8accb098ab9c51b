"""What inference refuses: a number that would not mean what it seems to. Each refusal names the way out."""

import numpy as np
import pytest
import scipy.sparse as sp
from births import birthwt, drawn, fitted, inferred
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression

import gdlogit
from gdlogit import GDLogisticRegression


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


def test_class_weights_are_not_frequencies():
    X, y = birthwt()
    model = fitted(X, y, class_weight="balanced")
    refused("class_weight='balanced'.*weights='sampling'", model, X, y)
    assert np.isfinite(model.inference(X, y, weights="sampling").bse).all()


def many_flags():
    """More parameters than an information is formed of: flags in CSR."""
    rng = np.random.default_rng(0)
    X = sp.random_array((20_000, 1600), density=0.01, format="csr", rng=rng)
    X.data[:] = 1
    z = X @ (0.5 * rng.standard_normal(1600))
    return X, (rng.random(20_000) < 1 / (1 + np.exp(-z))).astype(int)


def test_more_parameters_than_a_matrix_is_formed_of_want_names():
    X, y = many_flags()
    refused(r"1601 parameters.*features=\[", fitted(X, y), X, y)


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
