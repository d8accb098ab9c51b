"""The elastic net: its derivatives, its prox, and the intercept that is free of it."""

import numpy as np
import pytest
from gradcheck import check_gradient
from scipy.optimize import minimize_scalar

from gdlogit.penalty import ElasticNet, shrink


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


@pytest.mark.parametrize(("l2", "l1"), [(0.0, 0.3), (0.7, 0.3), (0.01, 0.3), (0.7, 0.0)])
@pytest.mark.parametrize("k", [3, 4])
def test_balanced_shifts_each_feature_to_the_least_penalty(k, l2, l1, rng):
    penalty, theta = ElasticNet(l2, l1), 1 + rng.standard_normal((20, k))
    balanced = penalty.balanced(theta)
    np.testing.assert_array_equal(balanced[-1], theta[-1])
    np.testing.assert_allclose(np.ptp(theta - balanced, axis=1), 0, atol=1e-15)  # no probability changes
    for w, ours in zip(theta[:-1], balanced[:-1], strict=True):
        found = minimize_scalar(lambda t, w=w: cost(penalty, w - t), (w.min(), w.max()), tol=1e-10)
        assert cost(penalty, ours) <= found.fun * (1 + 1e-12)


def cost(penalty, w):
    """Of one feature's coefficients."""
    return penalty.value(np.vstack([w, w]))


def test_balanced_moves_nothing_where_nothing_is_gained(rng):
    theta = np.array([[-1.0, -2.0, 3.0, 1.0], [0.0, 0.0, 0.0, 0.0], [5.0, 6.0, 7.0, 8.0]])
    for penalty in (ElasticNet(l2=0.0, l1=0.3), ElasticNet(l2=0.1, l1=0.3)):
        np.testing.assert_array_equal(penalty.balanced(theta)[1:], theta[1:])
    np.testing.assert_array_equal(ElasticNet(l2=0.0, l1=0.3).balanced(theta), theta)  # any shift up to 1 costs the same
    binary = rng.standard_normal((6, 1))
    np.testing.assert_array_equal(ElasticNet(l2=0.7, l1=0.3).balanced(binary), binary)


def test_theta_is_not_changed(theta):
    theta.flags.writeable = False
    penalty = ElasticNet(l2=0.7, l1=0.3)
    penalty.value(theta)
    penalty.gradient(theta)
    penalty.curvature(theta)
    penalty.prox(theta, 1.0)


def test_l1_strengths_are_l1_but_on_the_intercept():
    strengths = ElasticNet(l2=0.7, l1=0.3).l1_strengths((4, 2))
    np.testing.assert_array_equal(strengths, [[0.3, 0.3]] * 3 + [[0, 0]])


def test_there_is_no_penalty_only_where_both_strengths_are_zero():
    assert ElasticNet(l2=0.0, l1=0.0).is_none
    for l2, l1 in ((0.3, 0.0), (0.0, 0.3), (0.3, 0.3)):
        assert not ElasticNet(l2, l1).is_none


def test_shrink_moves_towards_zero_and_not_beyond():
    np.testing.assert_array_equal(shrink(np.array([3.0, -3.0, 0.5, -0.5, 0.0]), 1.0), [2, -2, 0, 0, 0])


@pytest.mark.parametrize(("l2", "l1"), [(0.7, 0.0), (0.7, 0.3), (1e-6, 0.3), (0.0, 0.3)])
def test_fenchel_gap_is_never_negative_and_zero_at_a_subgradient(theta, rng, l2, l1):
    penalty = ElasticNet(l2, l1)
    for _ in range(20):
        V = rng.standard_normal(theta.shape)
        assert penalty.fenchel_gap(theta, penalty.dual_scale(V) * V) >= 0
    theta = penalty.prox(theta, 2.0)
    inside = rng.uniform(-l1, l1, theta.shape)
    V = -l2 * theta - np.where(theta == 0, inside, l1 * np.sign(theta))
    assert penalty.dual_scale(V) == pytest.approx(1)
    assert penalty.fenchel_gap(theta, penalty.dual_scale(V) * V) == pytest.approx(0, abs=1e-14)


def test_fenchel_gap_is_made_of_the_conjugate(theta, rng):
    penalty, V = ElasticNet(l2=0.7, l1=0.3), rng.standard_normal(theta.shape)

    def conjugate(v):
        """The largest v w - R(w), found by search."""
        found = minimize_scalar(lambda w: 0.35 * w**2 + 0.3 * abs(w) - v * w, (-1, 1), tol=1e-10)
        return -found.fun

    W = theta[:-1]
    expected = penalty.value(theta) + sum(conjugate(-v) for v in V[:-1].ravel()) + np.vdot(W, V[:-1])
    assert penalty.fenchel_gap(theta, V) == pytest.approx(expected, rel=1e-9)


def test_dual_scale_is_the_largest_part_that_l1_allows():
    V = np.array([[0.6, -0.2], [0.6, -1.2], [9.0, 9.0]])
    assert ElasticNet(l2=0.0, l1=0.3).dual_scale(V) == pytest.approx(0.25)
    assert ElasticNet(l2=0.0, l1=2.0).dual_scale(V) == 1
    assert ElasticNet(l2=0.1, l1=0.3).dual_scale(V) == 1
    assert ElasticNet(l2=0.0).dual_scale(0 * V) == 1


@pytest.mark.parametrize(("l2", "l1"), [(0.5, 0.0), (0.0, 0.3), (0.5, 0.3)])
def test_the_nearest_dual_point_is_that_of_least_gap_within_the_distance(l2, l1):
    rng = np.random.default_rng(0)
    theta, V, distance = rng.integers(-1, 2, (7, 2)).astype(float), rng.standard_normal((7, 2)), rng.uniform(0, 1, 6)
    penalty = ElasticNet(l2, l1)
    nearest = penalty.nearest_dual(theta, V, distance)
    assert (np.abs(nearest - V)[:-1] <= distance[:, None] + 1e-15).all()
    np.testing.assert_array_equal(nearest[-1], V[-1])

    def gaps(V):  # of each entry, by the definition of R*; without l2 what is beyond l1 has a gap of no end
        over = np.maximum(np.abs(V) - l1, 0)
        conjugate = over**2 / (2 * (l2 or 1e-9))
        return l2 / 2 * theta[:-1] ** 2 + l1 * np.abs(theta[:-1]) + conjugate + theta[:-1] * V

    for share in np.linspace(-1, 1, 201):
        assert (gaps(nearest[:-1]) <= gaps(V[:-1] + share * distance[:, None]) + 1e-7).all()
