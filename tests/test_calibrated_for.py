"""Other shares of the classes: where the features are groups, the shift of the intercept is exact."""

import numpy as np
import pytest
from sklearn.datasets import load_iris

from gdlogit import GDLogisticRegression


def grouped(k):
    """Rows of four groups, as flags, and labels with other frequencies in each: a saturated model."""
    rng = np.random.default_rng(0)
    group, y = rng.integers(0, 4, 400), rng.integers(0, k, 400)
    y = np.where(rng.random(400) < 0.2 * group, 0, y)
    return np.eye(4)[group][:, 1:], y


@pytest.mark.parametrize("k", [2, 3])
def test_a_model_of_weighted_classes_becomes_the_one_without_weights(k):
    X, y = grouped(k)
    how = {"C": np.inf, "tol": 1e-14, "random_state": 0}
    plain = GDLogisticRegression(**how).fit(X, y)
    shares = np.bincount(y) / len(y)
    np.testing.assert_allclose(plain.class_prior_, shares)
    for class_weight in ({1: 7.0}, "balanced"):
        weighted = GDLogisticRegression(class_weight=class_weight, **how).fit(X, y)
        for prior in (shares, dict(enumerate(shares)), *([shares[1]] if k == 2 else [])):
            moved = weighted.calibrated_for(prior)
            np.testing.assert_allclose(moved.predict_proba(X), plain.predict_proba(X), atol=1e-6)
            np.testing.assert_array_equal(moved.coef_, weighted.coef_)
            np.testing.assert_allclose(moved.class_prior_, shares)
        again = moved.calibrated_for(weighted.class_prior_)
        np.testing.assert_allclose(again.intercept_, weighted.intercept_, atol=1e-12)


@pytest.mark.parametrize("k", [2, 3])
def test_every_fit_knows_the_shares_of_its_classes(k):
    X, y = grouped(k)
    weight = np.random.default_rng(1).random(len(y))
    shares = np.bincount(y, weight) / weight.sum()
    model = GDLogisticRegression()
    np.testing.assert_allclose(model.fit(X, y, weight).class_prior_, shares)
    np.testing.assert_allclose(model.fit_batches([(X, y, weight)]).class_prior_, shares)
    np.testing.assert_allclose(model.fit_proba(X, np.eye(k)[y], weight).class_prior_, shares)
    assert not hasattr(model.partial_fit(X, y), "class_prior_")
    with pytest.raises(ValueError, match="calibrated_for needs class_prior_"):
        model.calibrated_for(np.full(k, 1 / k))


def test_float32_stays_float32():
    X, y = grouped(3)
    model = GDLogisticRegression().fit(X.astype(np.float32), y).calibrated_for([0.2, 0.3, 0.5])
    assert model.intercept_.dtype == np.float32


@pytest.mark.parametrize("prior", [0.5, [0.5, 0.5], [0.5, 0.5, 0.5], [1.0, 0.0, 0.0], [0.2, 0.3, np.nan], {0: 1.0}])
def test_priors_that_are_none_are_named(prior):
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="prior"):
        GDLogisticRegression().fit(X, y).calibrated_for(prior)


def test_a_model_without_an_intercept_has_none_to_move():
    X, y = grouped(2)
    with pytest.raises(ValueError, match="it needs fit_intercept=True"):
        GDLogisticRegression(fit_intercept=False).fit(X, y).calibrated_for(0.5)
