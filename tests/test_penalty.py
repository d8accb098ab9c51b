"""The elastic net: its derivatives, its prox, and the intercept that is free of it."""

import numpy as np
import pytest
from gradcheck import check_gradient
from scipy.optimize import minimize_scalar

from gdlogit.penalty import LEFT_OUT, STRONGEST, WEAKEST, ElasticNet, free_of, penalty_in, shrink, ways_of


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


@pytest.mark.parametrize("l2", [0.0, 0.3])
def test_the_middle_of_three_coefficients_is_exactly_zero_where_l1_holds_it(l2):
    theta = np.array([[0.5, 1e-17, -0.7], [-3e-18, 0.2, -0.3], [0.5, 0.0, -0.7], [0.0, 0.0, 0.0]])
    balanced = ElasticNet(l2=l2, l1=0.2).balanced(theta)
    np.testing.assert_array_equal(balanced == 0, [[0, 1, 0], [1, 0, 0], [0, 1, 0], [1, 1, 1]])


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


# Every mix of the two parts, among them a feature without any penalty.
L2, L1 = np.array([0.7, 0.0, 0.5, 0.0, 1e-6]), np.array([0.0, 0.3, 0.2, 0.0, 0.8])
MIXED = {
    "both differ": ElasticNet(L2, L1),
    "l2 differs": ElasticNet(L2, 0.0),
    "l2 differs, l1 shared": ElasticNet(L2, 0.3),
    "l1 differs, no l2": ElasticNet(0.0, L1),
    "l1 differs, l2 shared": ElasticNet(0.7, L1),
}
mixed = pytest.mark.parametrize("penalty", MIXED.values(), ids=MIXED)


def one_by_one(penalty):
    """The penalty of each feature, its strengths numbers: what these are tested for above holds for vectors, too."""
    l2, l1 = np.broadcast_arrays(*penalty, np.empty(5))[:2]
    return [ElasticNet(float(a), float(b)) for a, b in zip(l2, l1, strict=True)]


@pytest.fixture(params=[1, 3, 4])
def point(request):
    """Theta, V and distances of five features; some of theta are zeros."""
    rng = np.random.default_rng(request.param)
    shape = 6, request.param
    return np.where(rng.random(shape) < 0.3, 0.0, rng.standard_normal(shape)), rng.standard_normal(shape), rng.random(5)


@mixed
def test_values_and_gaps_are_sums_over_the_features(penalty, point):
    theta, V, _ = point
    V = penalty.dual_scale(V) * V
    for name, arguments in (("value", (theta,)), ("nonsmooth_value", (theta,)), ("fenchel_gap", (theta, V))):
        parts = [
            getattr(one, name)(*(array[[j, -1]] for array in arguments)) for j, one in enumerate(one_by_one(penalty))
        ]
        assert getattr(penalty, name)(*arguments) == pytest.approx(sum(parts), rel=1e-14)


@mixed
def test_each_feature_has_the_arrays_of_its_own_strengths(penalty, point):
    theta, V, distance = point
    shifted = theta + 1
    for j, one in enumerate(one_by_one(penalty)):
        row = [j, -1]
        for ours, theirs in [
            (penalty.gradient(theta), one.gradient(theta[row])),
            (penalty.gradient(theta[:, 0])[:, None], one.gradient(theta[row, :1])),
            (penalty.curvature(theta), one.curvature(theta[row])),
            (penalty.curvature(theta[:, 0])[:, None], one.curvature(theta[row, :1])),
            (penalty.prox(theta, 0.6), one.prox(theta[row], 0.6)),
            (penalty.balanced(shifted), one.balanced(shifted[row])),
            (penalty.l1_strengths(theta.shape), one.l1_strengths(theta[row].shape)),
            (penalty.nearest_dual(theta, V, distance), one.nearest_dual(theta[row], V[row], distance[[j]])),
            (penalty.unpenalised(5), one.unpenalised(1)),
        ]:
            np.testing.assert_array_equal(ours[row], theirs)


@mixed
def test_some_features_have_the_penalty_of_their_own_strengths(penalty, point):
    theta, features = point[0], [4, 1, 2]
    for name in ("gradient", "curvature"):
        ours = getattr(penalty.restricted(features), name)(theta[[*features, -1]])
        np.testing.assert_array_equal(ours, getattr(penalty, name)(theta)[[*features, -1]])
    strengths = penalty.restricted(features).l1_strengths((4, 1))
    np.testing.assert_array_equal(strengths, penalty.l1_strengths((6, 1))[[*features, -1]])


@mixed
def test_a_dual_point_is_scaled_for_the_feature_that_allows_least(penalty, point):
    _, V, _ = point
    V[3] = 0  # or a feature without any penalty allows nothing
    scales = [one.dual_scale(V[[j, -1]]) for j, one in enumerate(one_by_one(penalty))]
    assert penalty.dual_scale(V) == min(scales)
    V[3] = 1e-9
    is_free = penalty.unpenalised(5)[3]
    assert penalty.dual_scale(V) == (0 if is_free else min(scales))


@mixed
def test_the_whole_penalty_has_the_least_curvature_and_smoothness_of_its_features(penalty, point):
    ones = one_by_one(penalty)
    assert penalty.largest_curvature == max(one.largest_curvature for one in ones)
    assert penalty.is_smooth == all(one.is_smooth for one in ones)
    assert penalty.is_none == all(one.is_none for one in ones)
    assert not penalty.is_rotation_invariant
    assert penalty.uniform_strengths is None


def test_vectors_of_equal_numbers_are_those_numbers(point):
    theta, V, distance = point
    number, vector = ElasticNet(0.7, 0.3), ElasticNet(np.full(5, 0.7), np.full(5, 0.3))
    assert vector.value(theta) == pytest.approx(number.value(theta), rel=1e-15)
    for name, arguments in (("gradient", (theta,)), ("prox", (theta, 0.5)), ("nearest_dual", (theta, V, distance))):
        np.testing.assert_array_equal(getattr(vector, name)(*arguments), getattr(number, name)(*arguments))


def test_only_one_l2_strength_for_all_features_is_rotation_invariant(rng, theta):
    Q, _ = np.linalg.qr(rng.standard_normal((5, 5)))
    turned = np.vstack([Q @ theta[:-1], theta[-1:]])
    assert ElasticNet(0.7).is_rotation_invariant
    assert ElasticNet(0.7).value(turned) == pytest.approx(ElasticNet(0.7).value(theta), rel=1e-14)
    for penalty in (ElasticNet(0.7, 0.3), *MIXED.values()):
        assert not penalty.is_rotation_invariant
        assert penalty.value(turned) != pytest.approx(penalty.value(theta), rel=1e-3)


def test_a_feature_that_is_left_out_costs_nothing_at_zero_and_goes_there(theta):
    penalty = ElasticNet(np.array([0.7, 0.0, 0.7, 0.7, 0.7]), np.array([0.3, LEFT_OUT, 0.3, 0.3, 0.3]))
    landed = penalty.prox(theta, 1e-9)
    np.testing.assert_array_equal(landed[1], 0)
    others = [0, 2, 3, 4, -1]
    assert penalty.value(landed) == pytest.approx(ElasticNet(0.7, 0.3).value(landed[others]), rel=1e-15)
    assert penalty.fenchel_gap(landed, theta) == pytest.approx(
        ElasticNet(0.7, 0.3).fenchel_gap(landed[others], theta[others]), rel=1e-14
    )


@mixed
def test_the_vector_fenchel_gap_is_made_of_the_conjugate(penalty, rng):
    """Against a search for the largest v w - R(w) of each entry."""
    theta, V = rng.standard_normal((6, 2)), rng.uniform(-0.2, 0.2, (6, 2))
    V[penalty.unpenalised(5)] = 0
    assert penalty.dual_scale(V) == 1
    expected = penalty.value(theta) + np.vdot(theta[:-1], V[:-1])
    for one, row in zip(one_by_one(penalty), V, strict=False):
        far = 1e7 if one.l2 else 1.0
        for v in row:

            def less(w, one=one, v=v):
                return one.value(np.array([[w], [0.0]])) + v * w

            expected -= minimize_scalar(less, bounds=(-far, far), method="bounded", options={"xatol": 1e-9}).fun
    assert penalty.fenchel_gap(theta, V) == pytest.approx(expected, rel=1e-6)


# --- Coefficients in units of their features -------------------------------------------------------------


UNITS = np.array([2.0**-60, 0.5, 1.0, 8.0, 2.0**70])


@pytest.mark.parametrize("penalty", [*MIXED.values(), ElasticNet(0.7, 0.2), ElasticNet(0.7), ElasticNet(0.0, 0.3)])
def test_a_penalty_in_units_is_the_same_penalty_of_coefficients_in_units(penalty, point):
    """A feature that is divided by its unit has its coefficient multiplied; powers of two change no bit."""
    theta, ours = point[0], penalty.in_units(UNITS)
    measured = np.vstack([theta[:-1] * UNITS[:, None], theta[-1]])
    assert ours.value(measured) == pytest.approx(penalty.value(theta), rel=1e-14)
    np.testing.assert_array_equal(ours.gradient(measured)[:-1] * UNITS[:, None], penalty.gradient(theta)[:-1])
    np.testing.assert_array_equal(
        ours.l1_strengths(theta.shape)[:-1] * UNITS[:, None], penalty.l1_strengths(theta.shape)[:-1]
    )


def test_without_units_or_without_a_penalty_nothing_is_measured():
    penalty = ElasticNet(0.7, 0.2)
    assert penalty.in_units(1.0) is penalty
    assert ElasticNet(0.0).in_units(UNITS).is_none


def test_strengths_in_units_stay_within_the_type():
    """A unit of 1e-300 makes a strength of 1e600: it is the largest that is used, and a feature left out stays so."""
    with np.errstate(all="raise"):  # a caller's settings change nothing
        tiny = ElasticNet(1.0, np.array([1.0, LEFT_OUT, 0.0])).in_units(np.array([1e-300, 1e-300, 1e-300]))
    np.testing.assert_array_equal(tiny.l2, [STRONGEST] * 3)
    np.testing.assert_array_equal(tiny.l1, [LEFT_OUT, LEFT_OUT, 0.0])
    with np.errstate(all="raise"):
        huge = ElasticNet(1.0, np.array([1.0, LEFT_OUT, 0.0])).in_units(np.array([1e300, 1e300, 1e300]))
    np.testing.assert_array_equal(huge.l2, 0.0)
    np.testing.assert_array_equal(huge.l1, [1e-300, LEFT_OUT, 0.0])


# --- In scikit-learn's terms -----------------------------------------------------------------------------


@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(("C", "strength"), [(0.5, 1 / 20), (1e305, WEAKEST), (np.inf, 0.0)])
def test_strengths_are_shares_of_one_over_c_and_the_weights(C, strength, l1_ratio):
    penalty = ElasticNet.of(C, l1_ratio, 40.0)
    assert penalty == ElasticNet(*(pytest.approx(share * strength) for share in (1 - l1_ratio, l1_ratio)))
    assert penalty.is_none == (C == np.inf)


def test_factors_multiply_the_strengths_and_an_infinite_one_leaves_a_feature_out():
    penalty = ElasticNet.of(0.5, 0.25, 40.0, np.array([0.0, 1.0, 3.0, np.inf, 1e200]))
    np.testing.assert_allclose(penalty.l2, [0.0, 0.0375, 0.1125, 0.0, 0.0375 * LEFT_OUT])
    np.testing.assert_allclose(penalty.l1, [0.0, 0.0125, 0.0375, LEFT_OUT, 0.0125 * LEFT_OUT])
    assert ElasticNet.of(0.5, 0.25, 40.0, np.array([3.0, 3.0])) == ElasticNet.of(0.5 / 3, 0.25, 40.0)
    assert ElasticNet.of(0.5, 0.25, 40.0, np.array([3.0])) == ElasticNet.of(0.5 / 3, 0.25, 40.0)
    np.testing.assert_allclose(ElasticNet.of(0.5, 0.25, 40.0, np.array([3.0, 3.0, 2.0])).l2, [0.1125, 0.1125, 0.075])
    left_out = ElasticNet.of(np.inf, 0.25, 40.0, np.array([1.0, np.inf]))
    np.testing.assert_array_equal(left_out.l1, [0.0, LEFT_OUT])
    np.testing.assert_array_equal(left_out.l2, 0.0)


def test_a_dual_point_of_a_zero_coefficient_moves_towards_what_l1_allows(rng):
    penalty, zero = ElasticNet(0.3, 0.5), np.zeros((2, 1))
    for v in rng.uniform(-1.5, 1.5, 50):
        V = np.array([[v], [0.2]])
        beyond = max(abs(v) - 0.5 - 0.25, 0.0)  # after a move by at most 0.25
        nearest = penalty.nearest_dual(zero, V, np.array([0.25]))
        assert penalty.fenchel_gap(zero, nearest) == pytest.approx(beyond**2 / (2 * 0.3), abs=1e-14)


@pytest.mark.parametrize("is_none", [True, False])
def test_a_penalty_that_does_not_say_which_features_it_leaves_free_leaves_all_or_none(is_none):
    class Foreign:
        pass

    foreign = Foreign()
    foreign.is_none = is_none
    np.testing.assert_array_equal(free_of(foreign, 2), [is_none, is_none, True])
    np.testing.assert_array_equal(free_of(ElasticNet(np.array([0.0, 1.0])), 2), [True, False, True])


def test_a_penalty_too_small_to_prove_anything_has_an_infinite_gap_whatever_the_callers_settings():
    with np.errstate(all="raise"):
        assert ElasticNet(1e-300).fenchel_gap(np.zeros((2, 1)), np.array([[1e10], [0.0]])) == np.inf


def test_a_penalty_with_ways_of_its_own_is_asked_for_them():
    class OneWay:
        def ways(self, shape):
            return np.zeros(shape, bool), np.ones(shape, bool)

    down, up = ways_of(OneWay(), (3, 2))
    assert down.shape == up.shape == (3, 2)
    assert up.all()
    assert not down.any()


def test_a_penalty_that_knows_no_units_is_refused_where_features_have_some():
    class Foreign:
        pass

    foreign = Foreign()
    assert penalty_in(foreign, 1.0) is foreign
    with pytest.raises(TypeError, match="Foreign cannot be used for features on such scales: it lacks in_units"):
        penalty_in(foreign, UNITS)
    np.testing.assert_array_equal(penalty_in(ElasticNet(1.0), UNITS).l2, ElasticNet(1.0).in_units(UNITS).l2)
