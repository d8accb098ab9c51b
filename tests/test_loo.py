"""Leave-one-out by leverages is near the fits without each row."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.model_selection import LeaveOneOut

from gdlogit import GDLogisticRegressionCV
from gdlogit.backprop import loss_of
from gdlogit.loo import LeaveOneOut as ByLeverages
from gdlogit.loo import WithoutRow, far_rows
from gdlogit.problem import Problem
from gdlogit.solve import Settings, solve

pytestmark = pytest.mark.filterwarnings("ignore:The best score is at")


def table(name):
    X, y = load_iris(return_X_y=True) if name == "iris" else load_breast_cancer(return_X_y=True)
    index = np.sort(np.random.default_rng(0).permutation(len(y))[:80])
    return X[index], y[index]


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", ["iris", "cancer"])
def test_the_mean_loss_is_near_that_of_all_fits(name, l1_ratio):
    X, y = table(name)
    fast = GDLogisticRegressionCV(Cs=6, l1_ratios=[l1_ratio], cv="loo").fit(X, y)
    exact = GDLogisticRegressionCV(Cs=fast.Cs_[:5], l1_ratios=[l1_ratio], cv=LeaveOneOut()).fit(X, y)
    rtol = 0.05 if l1_ratio else 0.01  # without a row, other features may enter at the smallest C
    np.testing.assert_allclose(fast.scores_[0, 0, :5], exact.scores_.mean(axis=0)[0], rtol=rtol)
    se = exact.scores_.std(axis=0, ddof=1)[0] / np.sqrt(len(y))
    np.testing.assert_allclose(fast.cv_results_["se_test_score"][:5], se, rtol=0.1)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_score_of_a_row_is_that_of_a_fit_without_it(n_classes):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((300, 4)), np.arange(300) % n_classes
    X[:, 0] += y
    problem = Problem.of(X, y.astype(np.uint8), np.ones(300), n_classes)
    settings = Settings(tol=1e-13)
    theta = solve(problem.penalised(1.0), settings).theta
    scores = ByLeverages(problem, np.ones(300), np.ones(300), settings, rng).scores(theta, 1.0, 0.0)
    for row in (0, 100, 299):
        share = (np.arange(300) != row).astype(float)
        without = solve(problem.weighted(share).penalised(1.0), settings).theta
        theirs = X[row] @ without[:-1] + without[-1]
        losses = [loss_of(n_classes).forward_backward(z[None], y[row : row + 1])[0] for z in (scores[row], theirs)]
        assert losses[0] == pytest.approx(losses[1], abs=1e-4)


def test_a_weight_of_two_is_the_row_twice():
    X, y = table("cancer")
    weight = np.random.default_rng(1).integers(0, 3, len(y))
    twice = np.repeat(np.arange(len(y)), weight)
    weighted = GDLogisticRegressionCV(Cs=np.logspace(-4, 0, 4), cv="loo").fit(X, y, sample_weight=weight)
    repeated = GDLogisticRegressionCV(Cs=np.logspace(-4, 0, 4), cv="loo").fit(X[twice], y[twice])
    np.testing.assert_allclose(weighted.scores_, repeated.scores_, rtol=1e-5)


def test_sparse_rows_and_float32_give_the_same():
    X, y = table("cancer")
    dense = GDLogisticRegressionCV(Cs=np.logspace(-4, 0, 4), cv="loo").fit(X, y)
    for other in (sp.csr_array(X), X.astype(np.float32)):
        found = GDLogisticRegressionCV(Cs=np.logspace(-4, 0, 4), cv="loo").fit(other, y)
        np.testing.assert_allclose(found.scores_, dense.scores_, rtol=1e-2)


def test_what_it_cannot_do_is_refused():
    X, y = table("cancer")
    with pytest.raises(ValueError, match="scoring must be 'neg_log_loss' with cv='loo'; got 'accuracy'"):
        GDLogisticRegressionCV(cv="loo", scoring="accuracy").fit(X, y)
    with pytest.raises(ValueError, match="cv must be"):
        GDLogisticRegressionCV(cv="ten").fit(X, y)
    many = sp.random(80, 2000, 0.1, format="csr", random_state=0)
    with pytest.raises(ValueError, match="cv='loo' needs a Hessian, which is formed up to 1500 parameters; got 2001"):
        GDLogisticRegressionCV(Cs=2, cv="loo").fit(many, y)


def test_between_the_nodes_the_mean_loss_is_that_of_all_fits():
    X, y = table("iris")
    fast = GDLogisticRegressionCV(Cs=60, cv="loo").fit(X, y)
    exact = GDLogisticRegressionCV(Cs=fast.Cs_, cv=LeaveOneOut()).fit(X, y)
    np.testing.assert_allclose(fast.scores_[0, 0], exact.scores_.mean(axis=0)[0], rtol=0.02)


def test_a_c_without_penalty_has_no_part_in_the_interpolation():
    X, y = table("cancer")
    X, Cs = X[:, :3], np.logspace(-4, 2, 25)
    without = GDLogisticRegressionCV(Cs=Cs, cv="loo").fit(X, y)
    found = GDLogisticRegressionCV(Cs=np.append(Cs, np.inf), cv="loo").fit(X, y)
    np.testing.assert_allclose(found.scores_[..., :-1], without.scores_, rtol=1e-6)
    alone = GDLogisticRegressionCV(Cs=[np.inf], cv="loo").fit(X, y)
    np.testing.assert_allclose(found.scores_[..., -1], alone.scores_[..., 0], rtol=1e-4)


def test_rows_without_a_fit_change_the_sum_of_the_losses_by_less_than_a_thousandth():
    rng = np.random.default_rng(0)
    hat, change, miss = rng.random(500), rng.exponential(0.1, 500), rng.random(500)
    count = rng.integers(1, 3, 500)
    fitted = far_rows(hat, change, miss, count)
    left = np.setdiff1d(np.flatnonzero((hat > 0.9) | (change > 0.25)), fitted)
    assert 0 < (count * change)[left].sum() <= 1e-3 * (count @ miss)
    assert np.isin(np.flatnonzero(hat > 0.9), fitted).all()
    assert (change[fitted] > 0.25)[hat[fitted] <= 0.9].all()


@pytest.mark.parametrize("k", [1, 3])
def test_the_metric_without_a_row_is_the_hessian_less_that_of_the_row(k):
    rng, p = np.random.default_rng(1), 4
    root = rng.standard_normal((p * k, p * k))
    H, x = root @ root.T + np.eye(p * k), rng.standard_normal(p)
    probabilities = rng.dirichlet(np.ones(k)) if k > 1 else np.full(1, 0.5)
    C = 0.1 * (np.diag(probabilities) - np.outer(probabilities, probabilities))
    U, dz, g = np.kron(x[:, None], np.eye(k)), rng.standard_normal(k), rng.standard_normal((p, k))
    inverse = np.linalg.inv(H)
    left = np.eye(k) - C @ U.T @ inverse @ U
    without = WithoutRow(inverse, x, inverse @ U, np.linalg.solve(left, C), np.linalg.solve(left, dz), 2.0, (p, k))
    smaller = H - U @ C @ U.T
    np.testing.assert_allclose(without.solve(g).ravel(), 2.0 * np.linalg.solve(smaller, g.ravel()), rtol=1e-8)
    exact = np.linalg.solve(smaller, U @ dz).reshape(p, k)
    shortened = exact * min(1.0, 2.0 / np.abs(x @ exact).max())
    np.testing.assert_allclose(without.step(), shortened, rtol=1e-8)
