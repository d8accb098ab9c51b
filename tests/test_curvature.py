"""Hessians that can be solved with, on any scale, singular or not."""

import numpy as np
import pytest

from gdlogit.quadratic import curvature
from gdlogit.quadratic.curvature import Cholesky, ConjugateGradients, Jacobi, Kronecker, Updated, equilibration

N = 12


def cholesky(hessian, shape=(N,)):
    return Cholesky(hessian.copy())


def conjugate_gradients(hessian, shape=(N,), fine=1e-12):
    def product(v):
        return (hessian @ v.ravel()).reshape(shape)

    jacobi = Jacobi(hessian.diagonal().reshape(shape))
    return ConjugateGradients(product, jacobi, lambda r: np.inf, fine=fine)


makers = pytest.mark.parametrize("make", [cholesky, conjugate_gradients])


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def hessian(rng):
    A = rng.standard_normal((40, N))
    return A.T @ A / 40


@makers
@pytest.mark.parametrize("shape", [(N,), (N, 1), (4, 3)])
def test_solution_is_numpys_in_the_shape_of_the_right_side(make, shape, hessian, rng):
    g = rng.standard_normal(shape)
    solution = make(hessian, shape).solve(g)
    assert solution.shape == shape
    assert make(hessian, shape).decrement(g) == pytest.approx(0.5 * np.vdot(g, solution), rel=1e-9)
    np.testing.assert_allclose(solution.ravel(), np.linalg.solve(hessian, g.ravel()), rtol=1e-9)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_a_decrement_is_half_of_the_slope_times_the_solution_whatever_the_metric(precision, rng):
    A, B, g = rng.standard_normal((40, 6)), rng.standard_normal((20, 4)), rng.standard_normal((6, 4))
    gram, coupling, penalty = A.T @ A / 40, B.T @ B / 20, np.full(6, 0.1)
    kronecker = Kronecker(gram, coupling, penalty, precision=precision)
    for metric in (kronecker, Jacobi(rng.random((6, 4)))):
        assert metric.decrement(g) == pytest.approx(0.5 * np.vdot(g, metric.solve(g)), rel=1e-5)
    fine = Kronecker(gram, coupling, penalty).solve(g)
    np.testing.assert_allclose(kronecker.solve(g), fine, rtol=1e-4, atol=1e-5 * np.abs(fine).max())
    assert kronecker.solve(g).dtype == np.float64


@pytest.mark.parametrize(("least", "kept"), [(1e-2, np.float32), (1e-6, np.float64)])
def test_a_factor_is_rounded_to_float32_where_digits_of_a_solution_are_left(least, kept):
    c = np.sqrt(1 - least)
    factor = Cholesky(np.array([[1.0, c], [c, 1.0]])).rounded("float32").factor  # its least eigenvalue is about least/2
    assert factor.dtype == kept


@makers
def test_scales_of_the_features_do_not_change_the_digits(make, hessian, rng):
    g, scale = rng.standard_normal(N), np.logspace(-75, 75, N)  # the diagonal: 1e-150 to 1e150
    scaled = make(scale[:, None] * hessian * scale).solve(scale * g)
    np.testing.assert_allclose(scaled * scale, make(hessian).solve(g), rtol=1e-9)


SINGULAR = {
    "zero": lambda A: 0 * A,
    "a column of zeros": lambda A: A * (np.arange(N) > 0),
    "two equal columns": lambda A: A[:, [0, *range(N - 1)]],
    "one column, on scales from 1e-60 to 1e60": lambda A: A[:, :1] * np.logspace(-60, 60, N),
    "fewer rows than columns": lambda A: A[:5],
    "denormal": lambda A: A * 1e-160,
}


@makers
@pytest.mark.parametrize("spoil", SINGULAR.values(), ids=SINGULAR)
def test_singular_matrices_have_finite_solutions_that_descend(make, spoil, rng):
    A = spoil(rng.standard_normal((40, N)))
    g = A.T @ rng.standard_normal(len(A)) / len(A)
    hessian = A.T @ A / len(A)
    solution = make(hessian).solve(g)
    assert np.isfinite(solution).all()
    assert g @ solution >= 0
    if (hessian.diagonal() > 1e-300).any():
        scale = equilibration(hessian.diagonal())
        residual = scale * (hessian @ solution - g)
        assert np.linalg.norm(residual) <= 1e-6 * np.linalg.norm(scale * g)


def test_a_matrix_that_rounding_made_indefinite_is_solved_where_it_has_curvature():
    hessian = np.array([[1, 1 + 1e-9], [1 + 1e-9, 1]])
    np.testing.assert_allclose(Cholesky(hessian).solve(np.ones(2)), 0.5, rtol=1e-6)


def test_equilibration_gives_a_unit_diagonal_and_leaves_zeros():
    diagonal = np.array([1e-300, 4.0, 0.0, 1e300])
    np.testing.assert_allclose(equilibration(diagonal) ** 2 * diagonal, [1, 1, 0, 1], rtol=1e-14)
    assert equilibration(diagonal)[2] == 1


def test_kronecker_solves_with_its_product_to_within_the_rounding_of_the_curvatures(rng):
    A, gamma = rng.standard_normal((40, 6)), np.array([0.0, 0.02, 0.3, 0.31])
    Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    gram, coupling = A.T @ A / 40, Q * gamma @ Q.T
    penalty = 1e-3 * (np.arange(6) < 5)
    hessian = np.kron(gram, coupling) + np.diag(penalty.repeat(4))
    metric = Kronecker(gram, coupling, penalty)
    assert len(metric.columns) == 3  # the largest two share a factor
    g = rng.standard_normal((6, 4)) @ Q[:, 1:] @ Q[:, 1:].T  # no part where there is no curvature
    x = np.linalg.lstsq(hessian, g.ravel())[0].reshape(6, 4)
    assert 0.5 <= np.vdot(g, metric.solve(g)) / np.vdot(g, x) <= 2
    gamma[1:] = 1 / 64, 1 / 4, 1 / 4  # powers of 4: no rounding
    metric = Kronecker(gram, Q * gamma @ Q.T, penalty)
    hessian = np.kron(gram, Q * gamma @ Q.T) + np.diag(penalty.repeat(4))
    np.testing.assert_allclose(hessian @ metric.solve(g).ravel(), g.ravel(), atol=1e-10)


def test_an_exact_kronecker_solves_with_its_product_whatever_the_curvatures(rng):
    A, Q = rng.standard_normal((40, 6)), np.linalg.qr(rng.standard_normal((4, 4)))[0]
    gram, coupling, penalty = A.T @ A / 40, Q * [1e-4, 0.02, 0.3, 0.3] @ Q.T, 1e-3 * (np.arange(6) < 5)
    metric = Kronecker(gram, coupling, penalty, exact=True)
    assert len(metric.columns) == 3
    hessian = np.kron(gram, coupling) + np.diag(penalty.repeat(4))
    g = rng.standard_normal((6, 4))
    np.testing.assert_allclose(hessian @ metric.solve(g).ravel(), g.ravel(), atol=1e-10)
    assert metric.decrement(g) == pytest.approx(0.5 * g.ravel() @ np.linalg.solve(hessian, g.ravel()))
    assert not metric.is_singular
    assert Kronecker(np.ones((6, 6)), coupling, np.zeros(6), exact=True).is_singular


def test_kronecker_gives_what_has_no_curvature_a_millionth_of_the_largest(rng):
    A, gamma = rng.standard_normal((40, 6)), np.array([0.0, 1e-9, 1e-8, 16.0])
    Q = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    gram = A.T @ A / 40
    metric = Kronecker(gram, Q * gamma @ Q.T, np.zeros(6))
    g = rng.standard_normal((6, 1)) * Q[:, 0]
    x = np.linalg.solve(curvature.NO_CURVATURE * 16 * gram, g)
    assert 0.5 <= np.vdot(g, metric.solve(g)) / np.vdot(g, x) <= 2


def test_iterates_of_conjugate_gradients_know_the_fall_and_bound_the_rest(hessian, rng):
    g = rng.standard_normal(N)
    smallest = np.linalg.eigvalsh(hessian)[0]
    metric = ConjugateGradients(lambda v: hessian @ v, Jacobi(hessian.diagonal()), lambda r: r @ r / (2 * smallest))
    whole = 0.5 * g @ np.linalg.solve(hessian, g)
    last = 0.0
    assert next(metric.iterates(g)).residual == 1
    for iterate in metric.iterates(g):
        r = g - hessian @ iterate.x
        np.testing.assert_allclose(iterate.rest, r, rtol=0, atol=1e-9 * np.abs(g).max())
        rest = 0.5 * np.sum(r**2 / hessian.diagonal())
        assert iterate.estimate == pytest.approx(iterate.fall + rest, rel=1e-9)
        assert iterate.residual**2 == pytest.approx(
            rest / (0.5 * np.sum(g**2 / hessian.diagonal())), rel=1e-6, abs=1e-15
        )
        quadratic = g @ iterate.x - 0.5 * iterate.x @ hessian @ iterate.x
        assert iterate.fall == pytest.approx(quadratic, rel=1e-9, abs=1e-12)
        assert last <= iterate.fall <= whole * (1 + 1e-9)
        assert iterate.bound >= whole * (1 - 1e-9)
        last = iterate.fall
        if iterate.residual < 1e-8:
            break
    assert iterate.estimate == pytest.approx(whole, rel=1e-9)
    assert iterate.bound == pytest.approx(whole, rel=1e-6)


def test_conjugate_gradients_end_where_there_is_no_curvature():
    metric = ConjugateGradients(np.zeros_like, Jacobi(np.zeros(N)), lambda r: np.inf)
    np.testing.assert_array_equal(metric.solve(np.ones(N)), 0)
    assert metric.decrement(np.ones(N)) == N / 2


def test_conjugate_gradients_end_where_the_square_of_the_slope_underflows():
    metric = ConjugateGradients(lambda v: 1e200 * v, Jacobi(np.ones(N)), lambda r: np.inf)
    np.testing.assert_array_equal(metric.solve(np.full(N, 1e-170)), 0)


def test_a_solution_with_a_bound_ends_as_soon_as_it_is_sharp(hessian, rng):
    g, products, smallest = rng.standard_normal(N), [], np.linalg.eigvalsh(hessian)[0]

    def product(v):
        products.append(v)
        return hessian @ v

    metric = ConjugateGradients(product, Jacobi(hessian.diagonal()), lambda r: r @ r / (2 * smallest))
    metric.solve(g)
    n_products = len(products)
    ratios = [i.bound / i.fall for _, i in zip(range(N), metric.iterates(g), strict=False) if i.fall]
    assert ratios[n_products - 1] <= curvature.BOUND_RATIO < min(ratios[: n_products - 1])


def test_a_solution_without_a_bound_ends_as_soon_as_the_residual_is_small(hessian, rng):
    metric, g = conjugate_gradients(hessian, fine=0.1), rng.standard_normal(N)
    residuals = [iterate.residual for iterate in metric.iterates(g)]
    first = next(i for i, residual in enumerate(residuals) if residual <= 0.1)
    assert first < len(residuals) - 1
    steps = metric.iterates(g)
    for _ in range(first + 1):
        x = next(steps).x
    np.testing.assert_array_equal(metric.solve(g), x)


def test_conjugate_gradients_stop_after_so_many_products(hessian, rng):
    jacobi = Jacobi(hessian.diagonal())
    metric = ConjugateGradients(lambda v: hessian @ v, jacobi, lambda r: np.inf, most_products=3)
    assert len(list(metric.iterates(rng.standard_normal(N)))) == 4
    assert np.isfinite(metric.solve(rng.standard_normal(N))).all()


@pytest.mark.parametrize(("angle", "blind"), [(1.0, False), (1e-3, False), (1e-8, True), (0.0, True)])
def test_a_factor_knows_that_two_directions_are_one_to_rounding(angle, blind):
    X = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]]).T * [1e-6, 1e9]
    assert Cholesky(X.T @ X).is_singular == blind


# --- More rows than a factorised Hessian has ----------------------------------------------------------------


def blocks_of(rows, B):
    """Sum of (x x^T) (x) B over rows x and their curvatures B (k, k)."""
    p, k = rows.shape[1], B.shape[1]
    return np.einsum("ij,il,icd->jcld", rows, rows, B).reshape(p * k, p * k)


def bend_by(B):
    return lambda v: np.einsum("icd,idq->icq", B, v)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("sizes", [(), (1,), (1, 2, 1)])
def test_rows_that_come_later_are_solved_with_as_if_they_had_been_there(k, sizes, hessian, rng):
    p, g = N // k, rng.standard_normal((N // k, k))
    rows = rng.standard_normal((sum(sizes), p))
    root = rng.standard_normal((len(rows), k, k)) * (rng.random((len(rows), 1, 1)) < 0.7)  # some have no curvature
    B = root @ root.transpose(0, 2, 1)
    updated = Updated.of(Cholesky(hessian.copy()), (p, k))
    for part in np.split(rows, np.cumsum(sizes)[:-1]) if sizes else []:
        assert updated.has_room(len(part))
        updated = updated.after(part)
    solution = updated._replace(bend=bend_by(B)).solve(g)
    expected = np.linalg.solve(hessian + blocks_of(rows, B), g.ravel())
    np.testing.assert_allclose(solution.ravel(), expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


def test_there_is_room_for_as_many_rows_as_parameters_and_no_more_than_pay(hessian):
    updated = Updated.of(Cholesky(hessian.copy()), (N, 1))
    assert updated.has_room(N)
    assert not updated.has_room(N + 1)
    assert not updated.after(np.eye(N)).has_room(1)
    wide = Updated.of(Cholesky(np.eye(1000)), (1000, 1))
    assert wide.has_room(curvature.RECENT)
    assert not wide.has_room(curvature.RECENT + 1)
    several = Updated.of(Cholesky(hessian.copy()), (N // 3, 3))
    assert several.has_room(N // 3)
    assert not several.has_room(N // 3 + 1)


def test_a_row_of_which_the_hessian_knows_nothing_is_refused():
    hessian = np.diag([1.0, 1e-12])
    updated = Updated.of(Cholesky(hessian), (2, 1))
    assert updated.after(np.array([[1.0, 0.0]])) is not None
    assert updated.after(np.array([[0.0, 1.0]])) is None


def test_a_preconditioner_that_rounding_has_made_indefinite_ends_the_iterates():
    class Indefinite:
        def solve(self, r):
            return r * [1.0, -1.0]

    cg = ConjugateGradients(lambda v: v * [1.0, 0.1], Indefinite(), lambda r: np.inf)
    iterates = [iterate.residual for iterate in cg.iterates(np.array([2.0, 1.0]))]
    assert len(iterates) == 2  # the start, and the iterate whose residual has a negative norm
    assert iterates[1] > 0  # it is not solved
