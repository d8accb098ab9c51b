"""The elastic net: its derivatives, its prox, and the intercept that is free of it."""

import numpy as np
import pytest
from gradcheck import check_gradient

from gdlogit.penalty import ElasticNet


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def theta(rng):
    return rng.standard_normal((6, 3))


def test_value_is_the_formula():
    theta = np.array([[1.0, -2.0], [0.0, 3.0], [100.0, -100.0]])
    assert ElasticNet(l2=0.5).value(theta) == 0.25 * 14
    assert ElasticNet(l2=0.5, l1=0.1).value(theta) == pytest.approx(0.25 * 14 + 0.1 * 6)
    assert ElasticNet(l2=0.0).value(theta) == 0


def test_gradient_is_the_derivative_of_the_smooth_part(theta, rng):
    check_gradient(ElasticNet(l2=0.7).value, ElasticNet(l2=0.7, l1=0.3).gradient, theta, rng)


def test_curvature_is_the_derivative_of_the_gradient(theta, rng):
    penalty, v = ElasticNet(l2=0.7, l1=0.3), rng.standard_normal(theta.shape)
    check_gradient(lambda theta: np.vdot(v, penalty.gradient(theta)), lambda t: penalty.curvature(t) * v, theta, rng)


def test_intercept_is_free(theta):
    penalty, moved = ElasticNet(l2=0.7, l1=0.3), theta.copy()
    moved[-1] += 10
    assert penalty.value(moved) == penalty.value(theta)
    np.testing.assert_array_equal(penalty.gradient(moved)[-1], 0)
    np.testing.assert_array_equal(penalty.curvature(moved)[-1], 0)
    np.testing.assert_array_equal(penalty.prox(moved, 1.0)[-1], moved[-1])


def test_prox_is_at_the_minimum_that_defines_it(theta, rng):
    penalty, step = ElasticNet(l2=0.7, l1=0.8), 0.6

    def target(v):
        return penalty.l1 * np.abs(v[:-1]).sum() + ((v - theta) ** 2).sum() / (2 * step)

    prox = penalty.prox(theta, step)
    assert 0 < np.count_nonzero(prox[:-1] == 0) < prox[:-1].size
    for size in (1e-8, 1e-4, 1e-2, 1.0):
        for _ in range(20):
            assert target(prox) <= target(prox + size * rng.standard_normal(theta.shape))


def test_prox_without_an_l1_part_changes_nothing(theta):
    np.testing.assert_array_equal(ElasticNet(l2=0.7).prox(theta, 2.0), theta)


def test_theta_is_not_changed(theta):
    theta.flags.writeable = False
    penalty = ElasticNet(l2=0.7, l1=0.3)
    penalty.value(theta)
    penalty.gradient(theta)
    penalty.curvature(theta)
    penalty.prox(theta, 1.0)
