"""What a fit is given is never modified, whatever form it has; it may be read-only, or an array of another type."""

import warnings
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from faults import FITS, X, Y, batches, half_fitted
from sklearn.exceptions import ConvergenceWarning

from gdlogit import GDLogisticRegression, GDLogisticRegressionCV


@pytest.fixture
def make(name):
    return lambda: half_fitted(**FITS[name])


class Subclass(np.ndarray):
    """An array of another type."""


def unsorted():
    csr = sp.csr_array(X[:, ::-1])
    return sp.csr_array((csr.data, csr.indices[::-1].copy(), csr.indptr), shape=csr.shape)


def doubled():
    """Each entry in two halves."""
    csr = sp.csr_array(X)
    return sp.csr_array((np.repeat(csr.data / 2, 2), np.repeat(csr.indices, 2), 2 * csr.indptr), shape=csr.shape)


def mapped(dtype):
    with TemporaryDirectory() as folder:
        np.save(f"{folder}/X.npy", (100 * X).astype(dtype))
        return np.load(f"{folder}/X.npy", mmap_mode="r")  # which lives on while it is open


FORMS = {
    "array": lambda: X.copy(),
    "float32": lambda: X.astype(np.float32),
    "integers": lambda: (100 * X).astype(int),
    "Fortran order": lambda: np.asfortranarray(X),
    "strided": lambda: np.repeat(X, 2, axis=1)[:, ::2],
    "subclass": lambda: X.copy().view(Subclass),
    "memory map": lambda: mapped(float),
    "memory map of integers": lambda: mapped(int),
    "DataFrame": lambda: pd.DataFrame(X).rename(columns="x{}".format),
    "csr_array": lambda: sp.csr_array(X),
    "csr_matrix": lambda: sp.csr_matrix(X),
    "csr, unsorted": unsorted,
    "csr, doubled": doubled,
    "csc": lambda: sp.csc_array(X),
    "coo": lambda: sp.coo_array(X),
}


def frozen(array):
    """All there is to know of an array-like: its parts' bytes, types and flags, and what a sparse one has found out."""
    if array is None or isinstance(array, np.random.RandomState):
        return None
    if sp.issparse(array):
        parts = [vars(array)[name] for name in ("data", "indices", "indptr", "coords") if name in vars(array)]
        flags = [vars(array).get(name) for name in ("_has_sorted_indices", "_has_canonical_format")]
        return [frozen(part) for part in parts], flags, array.shape, array.format
    if isinstance(array, tuple):
        return [frozen(part) for part in array]
    values = np.asarray(array)
    return values.tobytes(), values.dtype, values.strides, values.flags.writeable, type(array)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", FITS)
@pytest.mark.filterwarnings("ignore:J is about")
def test_inputs_are_never_modified(name, form, make):
    given = FORMS[form]()
    y, weight = Y.copy(), np.arange(len(Y)) % 3 / 2
    inputs = given, y, weight
    for part in inputs if isinstance(given, np.ndarray) else inputs[1:]:
        part.flags.writeable = False
    before = [frozen(part) for part in inputs]
    model, _ = make()
    model.fit(*inputs, X_val=given, y_val=y, sample_weight_val=weight)
    model.set_params(warm_start=True).fit(*inputs)
    model.predict_proba(given), model.predict_log_proba(given), model.score(*inputs)
    if name != "sgd":
        model.set_params(early_stopping=False, warm_start=False).fit_batches([inputs])
    if name != "l1":
        model.partial_fit(given, y, sample_weight=weight)
    for fit in (lambda: model.fit(given, y, weight * 1e308), lambda: model.fit_batches([(given, y, weight * 1e308)])):
        with pytest.raises(ValueError, match="too large|solver='sgd'"):
            fit()
    assert [frozen(part) for part in inputs] == before


def test_the_subclass_of_an_array_is_an_array():
    ours, theirs = (GDLogisticRegression(random_state=0).fit(FORMS[form](), Y) for form in ("subclass", "array"))
    np.testing.assert_array_equal(ours.coef_, theirs.coef_)
    assert type(ours.coef_) is type(ours.predict_proba(FORMS["subclass"]())) is np.ndarray


def test_parameters_are_never_modified():
    classes, class_weight, random_state = np.array([1, 0]), {0: 2.0}, np.random.RandomState(0)
    model = GDLogisticRegression(class_weight=class_weight, random_state=random_state)
    model.partial_fit(X, Y, classes).fit(X, Y).fit_batches(batches(X, Y), classes)
    assert classes.tolist() == [1, 0]
    assert class_weight == {0: 2.0}
    assert model.random_state is random_state


def test_warnings_that_are_errors_leave_a_model_that_is_fitted():
    model = GDLogisticRegression(solver="gd", max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        filters = list(warnings.filters)
        with pytest.raises(ConvergenceWarning, match="after max_iter=1"):
            model.fit(X, Y)
        assert warnings.filters == filters
    assert model.n_iter_ == 1
    assert model.score(X, Y) > 0.8


@pytest.mark.parametrize("wrong", [["a", "b"], [object(), object()], [[1, 2], [3]]], ids=["words", "objects", "ragged"])
@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("sample_weight", lambda wrong: GDLogisticRegression().fit([[0], [1]], [0, 1], sample_weight=wrong)),
        ("offset", lambda wrong: GDLogisticRegression().fit([[0], [1]], [0, 1], offset=wrong)),
        ("Y", lambda wrong: GDLogisticRegression().fit_proba([[0], [1]], wrong)),
        ("penalty_factor", lambda wrong: GDLogisticRegression(penalty_factor=wrong).fit(np.eye(2), [0, 1])),
        ("monotonic_cst", lambda wrong: GDLogisticRegression(monotonic_cst=wrong).fit(np.eye(2), [0, 1])),
        ("coef_bounds", lambda wrong: GDLogisticRegression(coef_bounds=(wrong, wrong)).fit(np.eye(2), [0, 1])),
        ("prior", lambda wrong: GDLogisticRegression().fit([[0], [1]], [0, 1]).calibrated_for(wrong)),
        ("Cs", lambda wrong: GDLogisticRegressionCV(Cs=wrong).fit(np.eye(2), [0, 1])),
        ("l1_ratios", lambda wrong: GDLogisticRegressionCV(l1_ratios=wrong).fit(np.eye(2), [0, 1])),
    ],
)
def test_what_should_be_numbers_and_is_not_is_named(name, use, wrong):
    with pytest.raises((TypeError, ValueError), match=f"^{name} must be "):
        use(wrong)
