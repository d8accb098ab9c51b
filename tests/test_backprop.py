"""The derivation: digit by digit against mpmath, by central differences, and against the computational graph."""

import itertools
import sys

import mpmath
import numpy as np
import pytest
from gradcheck import check_gradient

from gdlogit import graph, logistic_backward
from gdlogit.backprop import Sigmoid, Softmax, excess_of_tilt, loss_of, seen_tilt

EPS, TINY, LARGEST = sys.float_info.epsilon, sys.float_info.min, sys.float_info.max
SCORES = [0.0, *(sign * z for z in (1e-300, 1e-8, 1.0, 37.0, 1e3, 1e20, 1e300, LARGEST) for sign in (1, -1))]
LOSSES = {"sigmoid": Sigmoid(), "softmax": Softmax(3)}
losses = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def random_rows(loss, rng, m=20):
    return 3 * rng.standard_normal((m, loss.n_outputs)), rng.integers(0, max(2, loss.n_outputs), m)


def exact(score):
    """The score as a number of 60 digits. The exponent has no limit: e^-1e300 is not 0."""
    with mpmath.workdps(60):
        return mpmath.mpf(float(score))


def exact_sigmoid(z, label):
    """Loss and dz of one row."""
    with mpmath.workdps(60):
        t = -exact(z) if label else exact(z)
        sigma = 1 / (1 + mpmath.exp(-t))
        return float(mpmath.log1p(mpmath.exp(t))), float(-sigma if label else sigma)


def exact_softmax(z, label):
    """Loss and dz of one row."""
    with mpmath.workdps(60):
        e = [mpmath.exp(exact(z_c)) for z_c in z]
        others = sum(e[:label] + e[label + 1 :])
        dz = [e_c / (e[label] + others) for e_c in e]
        dz[label] = -others / (e[label] + others)
        return float(mpmath.log1p(others / e[label])), [float(dz_c) for dz_c in dz]


# --- Digits ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sigmoid_has_every_digit_at_any_score(dtype):
    z = np.clip(SCORES, np.finfo(dtype).min, np.finfo(dtype).max).astype(dtype)
    z, y = np.repeat(z, 2)[:, None], np.tile([0, 1], len(z))
    loss, dz = Sigmoid.forward_backward(z, y)
    expected = np.array([exact_sigmoid(z_i, label) for (z_i,), label in zip(z, y, strict=True)])
    few_ulp, tiny = 3 * np.finfo(dtype).eps, np.finfo(dtype).tiny
    np.testing.assert_allclose(loss, expected[:, 0], rtol=few_ulp, atol=tiny)
    np.testing.assert_allclose(dz[:, 0], expected[:, 1], rtol=few_ulp, atol=tiny)


def test_several_models_have_every_digit_at_any_score():
    z, y = np.array([SCORES, SCORES]).T, np.arange(len(SCORES)) % 2
    for models, labels in ((z, y), (z, 1 - y)):
        sign = Sigmoid.signs(labels)
        dz, (losses, e) = Sigmoid.backward(models, sign, sign[:, None]), Sigmoid.losses(models, sign)
        expected = np.array(
            [[exact_sigmoid(z_im, y_i) for z_im in z_i] for z_i, y_i in zip(models, labels, strict=True)]
        )
        few_ulp = {"rtol": 4 * EPS, "atol": TINY}
        np.testing.assert_allclose(losses, expected[:, :, 0], **few_ulp)
        np.testing.assert_allclose(dz, expected[:, :, 1], **few_ulp)
        np.testing.assert_allclose(e / (1 + e), np.abs(dz), **few_ulp)


def test_curvature_of_the_sigmoid_has_every_digit_at_any_score():
    z = np.array(SCORES)[:, None]
    with mpmath.workdps(60):
        e = [mpmath.exp(-abs(exact(z_i))) for z_i in SCORES]
        expected = [float(e_i / (1 + e_i) ** 2) for e_i in e]
    np.testing.assert_allclose(Sigmoid.curvature(z)[:, 0], expected, rtol=4 * EPS, atol=TINY)


def test_softmax_has_every_digit_at_any_mixture_of_scores():
    scores = [0.0, 1e-300, -1e-8, 1.0, -37.0, 1e3, -1e20, 1e300, -1e300, LARGEST]
    z = np.array([row for row in itertools.product(scores, repeat=3) if max(row) - min(row) < np.inf])
    shift = z.max(axis=1, keepdims=True) - z  # rounded, to eps / 2 of its size, and so is what e to its power has
    rtol = EPS * (3 + np.where(shift < 750, shift, 0).max(axis=1))
    for label in range(3):
        loss, dz = Softmax.forward_backward(z, np.full(len(z), label))
        expected_loss, expected_dz = map(np.array, zip(*[exact_softmax(row, label) for row in z], strict=True))
        assert (np.abs(loss - expected_loss) <= rtol * loss + TINY).all()
        assert (np.abs(dz - expected_dz) <= rtol[:, None] * np.abs(dz) + TINY).all()


def test_the_largest_finite_scores_against_each_other_have_an_infinite_loss_and_an_exact_derivative():
    z = np.array([[LARGEST, -LARGEST, 0.0]])
    loss, dz = Softmax.forward_backward(z, np.array([1]))
    assert loss == [np.inf]  # it is 2 LARGEST
    np.testing.assert_array_equal(dz, [[1, -1, 0]])
    np.testing.assert_array_equal(Softmax.probabilities(z), [[1, 0, 0]])
    np.testing.assert_array_equal(Softmax.log_probabilities(z), [[0, -np.inf, -LARGEST]])


@losses
def test_probabilities_sum_to_one_and_their_logarithms_are_finite_at_any_score(loss):
    z = np.array(list(itertools.product([z for z in SCORES if abs(z) <= 1e300], repeat=loss.n_outputs)))
    probabilities, log_probabilities = loss.probabilities(z), loss.log_probabilities(z)
    assert probabilities.shape == log_probabilities.shape == (len(z), max(2, loss.n_outputs))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=4 * EPS)
    assert np.isfinite(log_probabilities).all()
    np.testing.assert_allclose(np.exp(log_probabilities), probabilities, rtol=1e-13, atol=1e-300)


@losses
def test_probabilities_that_round_to_zero_are_no_error_whatever_the_callers_settings(loss):
    z = np.array([[-1e3], [1e3]]) * np.arange(loss.n_outputs, 0, -1)
    with np.errstate(all="raise"):
        probabilities, log_probabilities = loss.probabilities(z), loss.log_probabilities(z)
    np.testing.assert_array_equal(probabilities, loss.probabilities(z))
    assert {*probabilities.ravel()} == {0.0, 1.0}
    assert np.isfinite(log_probabilities).all()


def test_derivatives_that_round_to_zero_are_no_error_whatever_the_callers_settings():
    z, sign = np.array([[-1e3, 1e3], [1e3, -1e3]]), Sigmoid.signs(np.array([0, 1]))
    with np.errstate(all="raise"):
        dz, (losses, _) = Sigmoid.backward(z, sign, sign[:, None]), Sigmoid.losses(z, sign)
    np.testing.assert_array_equal(dz, [[0, 1], [0, -1]])
    np.testing.assert_array_equal(losses, [[0, 1e3], [0, 1e3]])


@losses
def test_own_class_log_probability_is_minus_the_loss(loss, rng):
    z, y = random_rows(loss, rng)
    own = loss.log_probabilities(z)[np.arange(len(y)), y]
    np.testing.assert_allclose(own, -loss.forward_backward(z, y)[0], rtol=1e-13)


def test_softmax_of_two_classes_is_the_sigmoid_of_the_difference(rng):
    z, y = 10 * rng.standard_normal((50, 1)), rng.integers(0, 2, 50)
    ours, theirs = Softmax.forward_backward(np.hstack([0 * z, z]), y), Sigmoid.forward_backward(z, y)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-13)
    np.testing.assert_allclose(ours[1], np.hstack([-theirs[1], theirs[1]]), rtol=1e-13)


@losses
def test_float32_stays_float32(loss, rng):
    z, y = random_rows(loss, rng)
    z = z.astype(np.float32)
    c = loss.curvature(z)
    results = [
        *loss.forward_backward(z, y), c, loss.bend(c, z), loss.bend_diagonal(c), loss.margins(z, y),
        loss.probabilities(z), loss.log_probabilities(z),
    ]  # fmt: skip
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
    sign = Sigmoid.signs(y % 2)
    assert {Sigmoid.backward(z, sign, sign[:, None]).dtype, *(part.dtype for part in Sigmoid.losses(z, sign))} == {
        np.dtype(np.float32)
    }


@losses
def test_scores_are_not_changed(loss, rng):
    z, y = random_rows(loss, rng)
    z.flags.writeable = False
    loss.forward_backward(z, y)
    loss.curvature(z)
    loss.probabilities(z)
    loss.log_probabilities(z)


# --- Derivatives -----------------------------------------------------------------------------------------


@losses
def test_dz_is_the_derivative_of_the_loss(loss, rng):
    z, y = random_rows(loss, rng)
    check_gradient(lambda z: loss.forward_backward(z, y)[0].sum(), lambda z: loss.forward_backward(z, y)[1], z, rng)


@losses
def test_curvature_is_the_derivative_of_dz(loss, rng):
    z, y = random_rows(loss, rng)
    v = rng.standard_normal(z.shape)
    check_gradient(
        lambda z: np.vdot(v, loss.forward_backward(z, y)[1]), lambda z: loss.bend(loss.curvature(z), v), z, rng
    )


@losses
def test_bend_diagonal_is_the_diagonal_of_the_curvature(loss, rng):
    c = loss.curvature(random_rows(loss, rng)[0])
    unit = np.eye(loss.n_outputs)
    diagonal = [loss.bend(c, np.broadcast_to(e, c.shape))[:, j] for j, e in enumerate(unit)]
    np.testing.assert_allclose(loss.bend_diagonal(c), np.transpose(diagonal), rtol=1e-13)


def test_bend_diagonal_has_all_its_digits_where_a_row_is_certain():
    z = np.array([[0.0, 30.0, 1.0], [0.0, 3.0, 36.0], [200.0, 0.0, 0.0]])
    with mpmath.workdps(200):
        e = [[mpmath.exp(exact(score)) for score in row] for row in z]
        expected = [[float(a * (sum(row) - a) / sum(row) ** 2) for a in row] for row in e]
    np.testing.assert_allclose(Softmax.bend_diagonal(Softmax.curvature(z)), expected, rtol=1e-14)


FAR = [0.0, 1e-9, 0.1, 1.0, 5.0, 37.0, 1e3, 1e17, 1e300]  # on the wrong side


def test_bend_sum_has_all_its_digits_where_rows_are_certain():
    c = np.array([[1 - 3e-20, 1e-20, 2e-20], [1e-30, 1 - 3e-30, 2e-30]])
    a, b, d = 2 * 1e-20 + 3 * 1e-30, 2 * 2e-20 + 3 * 2e-60, 2 * 2e-40 + 3 * 2e-30  # sum_i s_i c_ij c_il, j != l
    expected = np.array([[a + b, -a, -b], [-a, a + d, -d], [-b, -d, b + d]])
    np.testing.assert_allclose(Softmax.bend_sum(c, np.array([2.0, 3.0])), expected, rtol=1e-14)


@pytest.mark.parametrize("far", FAR)
def test_a_step_with_the_secant_curvature_ends_about_where_the_odds_are_reversed(far):
    z, y = np.array([[-far], [far]]), np.array([1, 0])
    loss, dz = Sigmoid.forward_backward(z, y)
    end = z - dz / Sigmoid.secant_curvature(z, y)
    np.testing.assert_allclose(end[0], -end[1], rtol=1e-12)
    assert far * (1 - 1e-12) <= end[0, 0] <= far * (1 + 1e-12) + 2
    assert (Sigmoid.forward_backward(end, y)[0] <= loss).all()


@pytest.mark.parametrize("far", FAR[:-1])
def test_the_parabola_of_the_secant_curvature_is_nowhere_below_the_loss(far, rng):
    z, d = np.full((1000, 1), -far), 10 * rng.standard_normal((1000, 1)) * max(1, far)
    y = np.ones(1000, int)
    loss, dz = Sigmoid.forward_backward(z, y)
    parabola = loss + (dz * d + Sigmoid.secant_curvature(z, y) * d**2 / 2)[:, 0]
    assert (Sigmoid.forward_backward(z + d, y)[0] <= parabola + 1e-12 * (1 + np.abs(parabola))).all()


def test_secant_curvature_of_two_classes_is_that_of_the_difference(rng):
    z, y = 5 * rng.standard_normal((50, 2)), rng.integers(0, 2, 50)
    c = Softmax.secant_curvature(z, y)
    np.testing.assert_allclose(c.sum(axis=1), 1, rtol=1e-14)
    np.testing.assert_allclose(c[:, :1] * c[:, 1:], Sigmoid.secant_curvature(z[:, 1:] - z[:, :1], y), rtol=1e-12)


def test_secant_curvature_keeps_the_proportions_of_the_other_classes_and_the_side_of_the_own(rng):
    z, y = 5 * rng.standard_normal((200, 3)), rng.integers(0, 3, 200)
    c, a, own = Softmax.secant_curvature(z, y), Softmax.probabilities(z), np.eye(3, dtype=bool)[y]
    np.testing.assert_allclose(c.sum(axis=1), 1, rtol=1e-13)
    np.testing.assert_array_equal(c[own] < 0.5, a[own] < 0.5)
    ours, theirs = (array[~own].reshape(200, 2) for array in (c, a))
    np.testing.assert_allclose(ours[:, 0] * theirs[:, 1], ours[:, 1] * theirs[:, 0], rtol=1e-12)


@losses
def test_secant_curvature_is_the_curvature_on_the_right_side(loss, rng):
    z, y = random_rows(loss, rng, 200)
    miss = -np.expm1(-loss.forward_backward(z, y)[0])
    ours, curvature = loss.secant_curvature(z, y), loss.curvature(z)
    right = miss <= 0.5
    np.testing.assert_allclose(ours[right], curvature[right], rtol=1e-12)
    if loss.n_outputs == 1:
        assert (ours[~right] > curvature[~right]).all()


def test_max_curvature_is_the_largest_that_a_row_can_have(rng):
    assert Sigmoid.curvature(np.zeros((1, 1))) == Sigmoid.max_curvature
    assert Sigmoid.curvature(3 * rng.standard_normal((1000, 1))).max() <= Sigmoid.max_curvature
    a = Softmax.curvature(np.vstack([[0, 0, -1e3], 3 * rng.standard_normal((1000, 3))]))
    eigenvalues = np.linalg.eigvalsh(a[:, :, None] * np.eye(3) - a[:, :, None] * a[:, None, :])
    assert eigenvalues[0, -1] == pytest.approx(Softmax.max_curvature, rel=1e-14)
    assert eigenvalues.max() <= Softmax.max_curvature * (1 + 1e-14)


def test_margins_are_the_own_score_above_the_others():
    z = np.array([[2.0, -1.0, 0.5]])
    np.testing.assert_array_equal(Softmax.margins(z, np.array([0])), [[0, 3, 1.5]])
    np.testing.assert_array_equal(Sigmoid.margins(z[:, :1], np.array([1])), [[2]])
    np.testing.assert_array_equal(Sigmoid.margins(z[:, :1], np.array([0])), [[-2]])


@losses
def test_tilt_is_the_divergence_of_probabilities_moved_by_a_change_of_the_scores(loss, rng):
    z, v = rng.standard_normal((2, 20, loss.n_outputs))
    v *= 0.2
    a = loss.probabilities(z)
    v_all = v if loss.n_outputs > 1 else np.hstack([0 * v, v])
    t = v_all - (a * v_all).sum(axis=1, keepdims=True)
    tilted = a * (1 - t)
    np.testing.assert_allclose(tilted.sum(axis=1), 1, rtol=1e-14)
    kl, change, largest = loss.tilt(z, v)
    np.testing.assert_allclose(kl, (tilted * np.log(tilted / a)).sum(axis=1), rtol=1e-11)
    np.testing.assert_allclose(change, (a - tilted)[:, -loss.n_outputs :], rtol=0, atol=1e-15)
    np.testing.assert_allclose(largest, t.max(axis=1), rtol=1e-13)
    np.testing.assert_allclose(change, loss.bend(loss.curvature(z), v), rtol=0, atol=1e-15)


def test_excess_of_tilt_is_its_formula_below_one_and_nothing_beyond():
    t = np.array([-1e3, -1.0, -1e-3, -1e-8, 0.0, 1e-8, 1e-3, 0.5, 1 - 1e-9])
    with mpmath.workdps(60):
        expected = [float((1 - exact(t_i)) * mpmath.log1p(-exact(t_i)) + exact(t_i)) for t_i in t]
    assert (np.abs(excess_of_tilt(t) - expected) <= 4 * EPS * np.maximum(np.abs(t), expected)).all()
    np.testing.assert_array_equal(excess_of_tilt(np.array([1.0, 1.5, 2.0, 1e300])), 0)


def test_a_tilt_of_1_or_more_counts_unless_it_is_lost_beside_the_other_probabilities():
    t = np.array([-3.0, 0.5, 1.0, 1.5, 1e6])
    np.testing.assert_array_equal(seen_tilt(np.full(5, 1e-30), t), [-3.0, 0.5, 0, 0, 0])
    np.testing.assert_array_equal(seen_tilt(np.full(5, 0.1), t), t)
    np.testing.assert_array_equal(seen_tilt(np.full(5, 1e-9, np.float32), t.astype("f4")), [-3, 0.5, 0, 0, 1e6])


def test_loss_of_two_classes_has_one_score_and_of_more_one_each():
    assert isinstance(loss_of(2), Sigmoid)
    assert loss_of(2).n_outputs == 1
    assert isinstance(loss_of(3), Softmax)
    assert [loss_of(n_classes).n_outputs for n_classes in (3, 10)] == [3, 10]


# --- The graph, and the textbook -------------------------------------------------------------------------


def test_graph_finds_the_same_derivative_of_the_sigmoid_log_loss(rng):
    z, y = random_rows(LOSSES["sigmoid"], rng)
    Z, Y = graph.Node(z[:, 0]), y.astype(float)
    A = graph.sigmoid(Z)
    L = -(Y * graph.log(A) + (1 - Y) * graph.log(1 - A))  # the textbook's form: fine at scores of a few units
    loss, dz = Sigmoid.forward_backward(z, y)
    np.testing.assert_allclose(loss, L.value, rtol=1e-12)
    np.testing.assert_allclose(dz[:, 0], graph.backward(L.sum())[Z], rtol=1e-12)


def test_graph_finds_the_same_derivative_of_the_softmax_cross_entropy(rng):
    z, y = random_rows(LOSSES["softmax"], rng)
    Z = graph.Node(z)
    L = graph.logsumexp(Z, axis=1) - (np.eye(3)[y] * Z).sum(axis=1)
    loss, dz = Softmax.forward_backward(z, y)
    np.testing.assert_allclose(loss, L.value, rtol=1e-12)
    np.testing.assert_allclose(dz, graph.backward(L.sum())[Z], rtol=1e-12)


def test_logistic_backward_gives_the_numbers_found_by_hand():
    gradient = logistic_backward(X=[[1, 2], [0, 1]], Y=[1, 0], A=[0.5, 0.25])  # A - Y = [-0.5, 0.25]
    assert gradient.keys() == {"dw", "db"}
    np.testing.assert_array_equal(gradient["dw"], [[0.0], [0.125]])
    assert gradient["db"] == -0.125
    assert isinstance(gradient["db"], float)


def test_logistic_backward_agrees_with_the_graph(rng):
    X, Y, w = rng.standard_normal((3, 10)), rng.integers(0, 2, 10), rng.standard_normal((3, 1))
    step = graph.logistic_step(X, Y, w, b=0.7)
    gradient = logistic_backward(X, Y, step.a)
    np.testing.assert_allclose(gradient["dw"], step.dw, rtol=1e-13)
    np.testing.assert_allclose(gradient["db"], step.db, rtol=1e-13)


@pytest.mark.parametrize("Y_shape", [(4,), (1, 4)])
@pytest.mark.parametrize("A_shape", [(4,), (1, 4)])
def test_logistic_backward_takes_rows_and_vectors(Y_shape, A_shape, rng):
    X, Y, A = rng.standard_normal((2, 4)), np.array([0, 1, 1, 0]), rng.random(4)
    plain, shaped = logistic_backward(X, Y, A), logistic_backward(X, Y.reshape(Y_shape), A.reshape(A_shape))
    np.testing.assert_array_equal(shaped["dw"], plain["dw"])
    assert shaped["dw"].shape == (2, 1)
    assert shaped["db"] == plain["db"]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_logistic_backward_takes_numbers_of_any_type(dtype):
    X, Y, A = np.array([[1, 0, 1, 1]]), np.array([0, 1, 1, 0]), np.array([1, 0, 1, 1])  # a hard classifier's A
    gradient = logistic_backward(X.astype(dtype), Y.astype(dtype), A.astype(dtype))
    np.testing.assert_array_equal(gradient["dw"], [[0.5]])  # A - Y = [1, -1, 0, 1]
    assert gradient["db"] == 0.25


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((4,), (4,), (4,)), r"X must be two-dimensional, \(n_features, m\); got an array of shape \(4,\)"),
        (((2, 4), (3,), (4,)), r"Y must have shape \(4,\) or \(1, 4\).*got \(3,\)"),
        (((2, 4), (4, 1), (4,)), r"Y must have shape .*got \(4, 1\)"),
        (((2, 4), (4,), (2, 4)), r"A must have shape .*got \(2, 4\)"),
    ],
)
def test_logistic_backward_names_what_has_the_wrong_shape(shapes, message):
    with pytest.raises(ValueError, match=message):
        logistic_backward(*map(np.ones, shapes))


@pytest.mark.parametrize("z", [-15.0, 15.0])
def test_tilt_keeps_its_digits_in_float32_where_one_probability_is_nearly_1(z):
    single, double = (Sigmoid.tilt(*np.full((2, 1, 1), [[[z]], [[0.9]]], dtype)) for dtype in (np.float32, np.float64))
    for ours, exact in zip(single, double, strict=True):
        np.testing.assert_allclose(ours, exact, rtol=2e-5)
