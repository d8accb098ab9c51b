"""The minimum of a quadratic with an l1 penalty, against all sign patterns and the conditions that a minimum meets."""

from itertools import product

import numpy as np
import pytest

from gdlogit.penalty import ElasticNet
from gdlogit.quadratic import lasso
from gdlogit.quadratic.lasso import (
    INTERCEPT_FEATURE,
    ColumnModel,
    FormedModel,
    LassoPoint,
    ProductModel,
    coordinate_step,
    least_slope,
    minimise_formed,
    minimise_roughly,
)

MOST = 1e6  # that a model may fall by


def problem(n, seed, rank=None):
    """M, g in the range of M, theta and the strengths; the last coordinate is free, as an intercept is."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((rank or 2 * n, n)) * np.exp(rng.standard_normal(n))
    theta = np.where(rng.random(n) < 0.5, rng.standard_normal(n), 0)
    g = A.T @ rng.standard_normal(len(A))
    strength = 0.4 * np.abs(g).max() * np.append(np.ones(n - 1), 0)
    return A.T @ A, g, theta, strength


def q(x, M, g, theta, strength):
    return g @ (x - theta) + 0.5 * (x - theta) @ M @ (x - theta) + strength @ np.abs(x)


def brute_force(M, g, theta, strength):
    """The least q over the stationary points of all patterns of signs; a pattern that x contradicts is no loss."""
    values = []
    for signs in product([-1, 0, 1], repeat=len(g) - 1):
        signs = np.append(signs, 1)
        free, x = signs != 0, np.zeros(len(g))
        slope = M @ theta - g - strength * signs
        x[free] = np.linalg.solve(M[np.ix_(free, free)], slope[free])
        values.append(q(x, M, g, theta, strength))
    return min(values)


def formed(M, g, theta, strength):
    x, fall, converged = minimise_formed(M, g, theta, strength, lambda x: x, MOST)
    assert converged
    return x, fall


def by_products(M, g, theta, strength):
    return in_steps(lambda g, x: ProductModel(lambda v: M @ v, M.diagonal()), M, g, theta, strength)


def by_columns(M, g, theta, strength):
    """M = A^T A, the last column of A being the intercept's, and the others measured from a centre that F's are not."""
    A, centre = np.linalg.cholesky(M).T, np.random.default_rng(0).standard_normal(len(g) - 1)
    F = np.column_stack([A[:, :-1] + np.outer(A[:, -1], centre), INTERCEPT_FEATURE * A[:, -1]])
    penalty = ElasticNet(0.0, strength[0])

    def at(g, x):
        return ColumnModel(np.linalg.solve(A.T, g), np.asfortranarray(F), centre, M.diagonal(), penalty, x)

    return in_steps(at, M, g, theta, strength)


def in_steps(at, M, g, theta, strength):
    """As the descent does it: from where the last step ended."""
    x = theta
    for _ in range(100):
        slope = g + M @ (x - theta)
        x, _ = minimise_roughly(at(slope, x), slope, x, strength, 1e-4)
    return x, q(theta, M, g, theta, strength) - q(x, M, g, theta, strength)


methods = pytest.mark.parametrize("minimise", [formed, by_products, by_columns])
seeds = pytest.mark.parametrize("seed", range(5))


@methods
@seeds
def test_minimum_is_the_least_over_all_sign_patterns(minimise, seed):
    problem_ = problem(5, seed)
    x, fall = minimise(*problem_)
    least = brute_force(*problem_)
    assert q(x, *problem_) == pytest.approx(least, rel=1e-9)
    assert fall == pytest.approx(q(problem_[2], *problem_) - least, rel=1e-8)


@methods
@seeds
@pytest.mark.parametrize("n", [20, 100])
def test_slope_at_the_minimum_is_within_the_strengths(minimise, seed, n):
    M, g, theta, strength = problem(n, seed)
    x, _ = minimise(M, g, theta, strength)
    slope = least_slope(x, g + M @ (x - theta), strength)
    np.testing.assert_allclose(slope / np.sqrt(M.diagonal()), 0, atol=1e-6 * strength.max())
    assert (x[:-1] == 0).any()


@seeds
def test_singular_quadratic_has_a_minimum(seed):
    M, g, theta, strength = problem(12, seed, rank=6)
    x, _ = formed(M, g, theta, strength)
    slope = least_slope(x, g + M @ (x - theta), strength)
    np.testing.assert_allclose(slope, 0, atol=1e-6 * strength.max())


def test_duplicate_columns_change_nothing_but_who_carries_the_weight():
    M, g, theta, strength = problem(6, 0)
    twice = np.append(np.arange(6), 0)
    both = M[np.ix_(twice, twice)], g[twice], np.append(theta, 0), strength[twice]
    x, _ = formed(M, g, theta, strength)
    xx, _ = formed(*both)
    assert q(xx, *both) == pytest.approx(q(x, M, g, theta, strength), rel=1e-9)


def test_column_of_zeros_stays_at_zero():
    M, g, theta, strength = problem(6, 0)
    M[0] = M[:, 0] = g[0] = theta[0] = 0
    x, _ = formed(M, g, theta, strength)
    assert x[0] == 0
    assert np.isfinite(x).all()


@seeds
@pytest.mark.parametrize("far", [1, 50, 3e4])
@pytest.mark.parametrize("curvature", [0, 1e-12])
def test_large_coefficient_with_hardly_any_curvature_comes_back_to_zero(seed, far, curvature):
    """As one whose rows are all certain: but for the penalty, nothing is known of where it should be."""
    M, g, theta, strength = problem(6, seed)
    M[1], M[:, 1], g[1], theta[1] = 0, 0, 0, far
    M[1, 1] = curvature
    x, fall = formed(M, g, theta, strength)
    assert x[1] == 0
    rest = np.arange(6) != 1
    others = M[np.ix_(rest, rest)], g[rest], theta[rest], strength[rest]
    assert q(x[rest], *others) == pytest.approx(brute_force(*others), rel=1e-9)
    assert fall == pytest.approx(strength[1] * far + q(others[2], *others) - brute_force(*others), rel=1e-3)


@seeds
def test_coordinate_step_is_the_best_along_a_single_coordinate(seed):
    M, g, theta, strength = problem(8, seed)
    scale = 1 / np.sqrt(M.diagonal())
    problem_ = M, g, theta, strength = scale[:, None] * M * scale, scale * g, theta / scale, scale * strength
    values = []
    for j in range(8):
        for sign in (-1, 0, 1):  # either side of the kink, and on it
            x = theta.copy()
            x[j] = theta[j] - g[j] - sign * strength[j] if sign or not strength[j] else 0
            values.append(q(x, *problem_))
    spot = coordinate_step(FormedModel(M, lambda x: x), LassoPoint(theta, g, 0.0), strength)
    assert np.count_nonzero(spot.x != theta) == 1
    assert q(spot.x, *problem_) == pytest.approx(min(values), rel=1e-12)
    assert spot.fall == pytest.approx(q(theta, *problem_) - min(values), rel=1e-12)
    np.testing.assert_allclose(spot.slope, g + M @ (spot.x - theta), rtol=1e-12)


def test_minimum_is_at_zero_where_the_penalty_is_strong():
    M, g, _, _ = problem(6, 0)
    x, fall = formed(M, g, np.zeros(6), 1.001 * np.abs(g))
    assert not x.any()
    assert fall == 0


@pytest.mark.parametrize("tiny", [1e-9, 1e-17, 1e-300])
def test_coefficient_of_rounding_goes_as_far_beyond_zero_as_it_must(tiny):
    """Zero is near, but not where the steps end: the coordinate's own curvature counts."""
    M, g, strength = np.array([[4.0, 1.0], [1.0, 4.0]]), np.array([0.25, -0.5]), np.full(2, 0.01)
    theta = np.array([tiny, 0.3])
    x, _ = formed(M, g, theta, strength)
    assert q(x, M, g, theta, strength) == pytest.approx(brute_force(M, g, theta, strength), rel=1e-9)
    np.testing.assert_allclose(x, theta - np.linalg.solve(M, g + strength * [-1, 1]), rtol=1e-9)


@pytest.mark.parametrize("minimise", [formed, by_products])
def test_all_zeros_are_reached_from_the_wrong_side_and_kept(minimise):
    M = np.array([[2.0, 1.0], [1.0, 3.0]])
    x, fall = minimise(M, M @ [1.0, -2.0], np.array([1.0, -2.0]), np.full(2, 100.0))
    np.testing.assert_array_equal(x, 0)
    assert fall == pytest.approx(300 + 0.5 * np.array([1.0, -2.0]) @ M @ [1.0, -2.0])


@pytest.mark.parametrize("minimise", [formed, by_products])
def test_all_signs_may_turn(minimise):
    M, theta, strength = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([1.0, 2.0]), np.full(2, 0.1)
    x, _ = minimise(M, M @ (2 * theta), theta, strength)
    np.testing.assert_allclose(x, np.linalg.solve(M, strength) - theta)


def test_a_model_that_was_not_minimised_knows_no_excess(monkeypatch):
    M, g, theta, strength = problem(20, 0)
    monkeypatch.setattr(lasso, "MOST_ROUNDS", 1)
    monkeypatch.setattr(lasso, "NEWTON_STEPS_PER_ROUND", 1)
    assert not minimise_formed(M, g, theta, strength, lambda x: x, np.inf)[2]


def test_no_step_raises_the_model_where_rounding_is_all_that_is_left_of_a_direction():
    x = np.array([1.0, -2.0, 0.5])
    M = lasso.FormedModel(np.ones((3, 3)), lambda x: x)  # of rank one
    slope, strength = np.array([1e-3, 1e-3, 1e-3]), np.full(3, 1e-6)
    spot = lasso.LassoPoint(x, slope, 0.0)
    after, _ = lasso.step_within_signs(M, spot, np.array([1e10, 1.0, 1e10]), strength)
    assert after.fall >= 0


@seeds
def test_coordinates_that_are_zero_but_for_rounding_do_not_end_a_search(seed):
    """Each of them has a slope of up to twice its strength, and a norm that they make up falls by a factor at once."""
    M, g, _, strength = problem(60, seed)
    x, _ = formed(M, g, np.zeros(60), strength)
    start = np.where(x == 0, 1e-17 * np.random.default_rng(seed).choice([-1.0, 1.0], 60), 0.999 * x)
    slope = g + M @ start
    _, fall = minimise_roughly(ProductModel(lambda v: M @ v, M.diagonal()), slope, start, strength, 0.1)
    least = q(start, M, slope, start, strength) - q(x, M, slope, start, strength)
    assert 0.9 * least <= fall <= least * (1 + 1e-9)


@pytest.mark.parametrize("k", [3, 4, 5])
def test_products_of_a_softmax_lead_to_slopes_within_a_tiny_strength_in_few_products(k):
    """H has a null space, a shift of all classes: steps along it would end at one zero after the other."""
    rng = np.random.default_rng(k)
    X, B = rng.standard_normal((300, 20)), np.eye(k) / k - 1 / k**2
    M, penalty = np.kron(X.T @ X / 300, B), ElasticNet(0.0, 1e-7)
    theta = penalty.balanced(np.vstack([rng.standard_normal((20, k)), np.zeros(k)]))[:-1].ravel()
    g, strength = 1e-2 * M @ rng.standard_normal(20 * k), np.full(20 * k, 1e-7)

    def balanced(x):
        return penalty.balanced(np.vstack([x.reshape(20, k), np.zeros(k)]))[:-1].ravel()

    model = ProductModel(lambda v: M @ v, M.diagonal(), balanced)
    x, fall = minimise_roughly(model, g, theta, strength, 0.0)
    slope = M @ (x - theta) + g
    assert np.abs(least_slope(x, slope, strength)).max() <= 1e-3 * 1e-7
    np.testing.assert_allclose(fall, q(theta, M, g, theta, strength) - q(x, M, g, theta, strength), rtol=1e-6)
    assert model.products < 100  # 700 to 1,600 without


def test_a_search_ends_after_as_many_products_as_it_may_take():
    M, g, theta, strength = problem(30, 0)
    model = ProductModel(lambda v: M @ v, M.diagonal(), most_products=3)
    x, _ = minimise_roughly(model, g, theta, strength, 0.0)
    assert 3 <= model.products < 3 + lasso.PROOF_PRODUCTS
    assert q(x, M, g, theta, strength) < q(theta, M, g, theta, strength)


def test_a_search_ends_once_the_model_falls_by_more_than_j():
    """J is not negative: a model that falls by more is wrong, and its minimum is not worth products."""
    M, g, theta, strength = problem(60, 0, rank=70)
    at = {most: ProductModel(lambda v: M @ v, M.diagonal(), largest_fall=most) for most in (1e-3, np.inf)}
    falls = {most: minimise_roughly(model, g, theta, strength, 1e-3)[1] for most, model in at.items()}
    assert 1e-3 < falls[1e-3] <= falls[np.inf]
    assert at[1e-3].products < at[np.inf].products
