"""Hessians that can be solved with, on any scale, singular or not."""

import numpy as np
import pytest

from gdlogit.curvature import Cholesky, ConjugateGradients, equilibration

N = 12


def cholesky(hessian, shape=(N,)):
    return Cholesky(hessian.copy())


def conjugate_gradients(hessian, shape=(N,)):
    def product(v):
        return (hessian @ v.ravel()).reshape(shape)

    return ConjugateGradients(product, hessian.diagonal().reshape(shape), rtol=1e-12, max_iter=200)


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
    np.testing.assert_allclose(solution.ravel(), np.linalg.solve(hessian, g.ravel()), rtol=1e-9)


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


def test_equilibration_gives_a_unit_diagonal_and_leaves_zeros():
    diagonal = np.array([1e-300, 4.0, 0.0, 1e300])
    np.testing.assert_allclose(equilibration(diagonal) ** 2 * diagonal, [1, 1, 0, 1], rtol=1e-14)
    assert equilibration(diagonal)[2] == 1


def test_conjugate_gradients_stop_after_so_many_products(hessian, rng):
    products = []

    def product(v):
        products.append(v)
        return hessian @ v

    solution = ConjugateGradients(product, hessian.diagonal(), rtol=1e-12, max_iter=3).solve(rng.standard_normal(N))
    assert len(products) <= 4
    assert np.isfinite(solution).all()
