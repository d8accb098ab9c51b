"""What a pass sends to the rows is pure and small, and runs in the precision of X: in every fit."""

import pickle
from contextlib import contextmanager
from io import BytesIO

import cloudpickle
import numpy as np
import pytest
import scipy.sparse as sp
from variants import ByProducts

from gdlogit import GDLogisticRegression, c_min
from gdlogit.backprop import Sigmoid
from gdlogit.data.blocks import Block
from gdlogit.data.csr import CsrBlock
from gdlogit.data.dense import Dense
from gdlogit.data.memory import MemoryRows, rows_of
from gdlogit.data.rows import Rows
from gdlogit.data.source import BatchRows
from gdlogit.data.threads import Cores
from gdlogit.objective import Objective
from gdlogit.penalty import ElasticNet

N, P = 1500, 6


def rows(n_classes):
    rng = np.random.default_rng(0)
    X = np.round(4 * rng.standard_normal((N, P))) / 4  # exact in float32
    X[rng.random(X.shape) < 0.5] = 0
    X[:, -1] = X[:, 0] - X[:, 1]  # without a penalty, one minimum of many
    return X, np.argmax(X @ rng.standard_normal((P, n_classes)) + rng.gumbel(size=(N, n_classes)), axis=1)


def halves(X, y):
    return [(X[: N // 2], y[: N // 2]), (X[N // 2 :], y[N // 2 :])]


def fitted(**parameters):
    variant = parameters.pop("variant", GDLogisticRegression)
    return variant(**{"random_state": 0, "tol": 1e-4} | parameters)


def streamed(X, y):
    model = fitted()
    for batch in halves(X, y):
        model.partial_fit(*batch, np.unique(y))
    return model.coef_


SOLVERS = {
    "Hessian": {},
    "products": {"variant": ByProducts},
    "gd": {"solver": "gd", "max_iter": 3, "tol": 1.0},
    "nesterov": {"solver": "nesterov", "max_iter": 3, "tol": 1.0},
    "sgd": {"solver": "sgd", "max_iter": 1, "tol": 1.0, "batch_size": 500},
}
PENALTIES = {"l2": {}, "l1": {"l1_ratio": 1, "C": 0.1}, "both": {"l1_ratio": 0.5}, "none": {"C": np.inf}}
FITS = {
    f"{solver}, {penalty}": lambda X, y, p=SOLVERS[solver] | PENALTIES[penalty]: fitted(**p).fit(X, y).coef_
    for solver in SOLVERS
    for penalty in PENALTIES
} | {
    "held out": lambda X, y: fitted(early_stopping=True).fit(X, y).coef_,
    "separable": lambda X, y: fitted(C=np.inf).fit(X, (X @ np.arange(P) > 0.6).astype(int)).coef_,
    "products, separable": lambda X, y: ByProducts(C=np.inf).fit(X, (X @ np.arange(P) > 0.6).astype(int)).coef_,
    "stopped early, l2": lambda X, y: fitted(max_iter=1, tol=0).fit(X, y).coef_,
    "batches": lambda X, y: fitted().fit_batches(halves(X, y)).coef_,
    "products, batches": lambda X, y: ByProducts().fit_batches(halves(X, y)).coef_,
    "stream": streamed,
    "c_min": c_min,
}
FORMS = {"dense": np.asarray, "CSR": sp.csr_array}
every_fit = pytest.mark.parametrize("name", FITS)
every_form = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
binary_and_softmax = pytest.mark.parametrize("n_classes", [2, 3])


class Unmoved(cloudpickle.Pickler):
    """Notes what belongs to one place: rows and what holds them."""

    def __init__(self, file):
        super().__init__(file)
        self.found = []

    def persistent_id(self, value):
        if isinstance(value, Rows | Block | Cores | Objective):
            self.found.append(type(value))


def moved(f, n_parameters):
    """A function as it comes out on another machine; it must be small, and bring no rows along."""
    file = BytesIO()
    pickler = Unmoved(file)
    pickler.dump(f)
    assert not pickler.found
    assert file.tell() <= 4096 + 16 * n_parameters
    return pickle.loads(file.getvalue())


@contextmanager
def rows_elsewhere():
    """Every function that rows are asked for is sent through a pickle, anew for each block; yield their number."""
    sent, inside = [0], False

    def through(verb, original):
        def asked(rows, f, *others, **more):
            nonlocal inside
            if inside:  # another verb, of the same rows
                return original(rows, f, *others, **more)
            n_parameters = rows.shape[1] * rows.n_scores
            moved(f, n_parameters)
            if verb == "fold":
                moved(others[0], n_parameters)
            sent[0] += 1
            inside = True
            try:
                return original(rows, lambda *block: moved(f, n_parameters)(*block), *others, **more)
            finally:
                inside = False

        return asked

    with pytest.MonkeyPatch.context() as monkeypatch:
        for kind in (MemoryRows, BatchRows):
            for verb in ("fold", "each", "map"):
                monkeypatch.setattr(kind, verb, through(verb, getattr(kind, verb)))
        yield sent


@every_fit
@every_form
@binary_and_softmax
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_what_rows_are_asked_for_is_small_and_can_be_done_on_another_machine(name, form, n_classes):
    X, y = rows(n_classes)
    expected = FITS[name](form(X), y)
    with rows_elsewhere() as sent:
        found = FITS[name](form(X), y)
    assert sent[0] > 0
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "ask",
    [
        lambda objective, z: objective.rows.sum(lambda block: (objective.total,)),
        lambda objective, z: objective.rows.each(lambda block: objective.rows.y[: len(block)]),
        lambda objective, z: objective.rows.sum(lambda block: (z.sum(),)),
        lambda objective, z: objective.rows.fold(lambda block: (0,), lambda a, b: a + objective.total),
    ],
    ids=["an objective", "rows", "a number of each row", "to combine by an objective"],
)
def test_a_function_that_captures_more_is_noticed(ask):
    X, y = rows(2)
    objective = Objective(rows_of(X, y, np.ones(N)), Sigmoid(), ElasticNet(1.0))
    with rows_elsewhere(), pytest.raises(AssertionError):
        ask(objective, np.zeros(N))


def test_a_function_that_writes_outside_is_noticed():
    written = np.zeros(1)

    def writes(block):
        written[0] += 1
        return ()

    given = rows_of(*rows(2), np.ones(N))
    with rows_elsewhere():
        given.sum(writes)
    assert not written.any()
    given.sum(writes)
    assert written.any()


@every_fit
@every_form
@binary_and_softmax
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_float32_rows_are_never_multiplied_in_float64(name, form, n_classes, monkeypatch):
    seen = []
    for kind in (Dense, CsrBlock):
        product = kind.product

        def watched(a, b, product=product):
            seen.append((a.dtype, b.dtype))
            return product(a, b)

        monkeypatch.setattr(kind, "product", staticmethod(watched))
    X, y = rows(n_classes)
    FITS[name](form(X.astype(np.float32)), y)
    assert seen
    if "stream" not in name:  # which takes its rows in float64
        assert set(seen) == {(np.dtype(np.float32), np.dtype(np.float32))}
