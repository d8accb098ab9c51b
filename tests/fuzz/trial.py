"""A trial: the fits of one case that the oracles ask for, each made once, and the lowest J that any has found."""

import signal
import tracemalloc
import warnings
from contextlib import contextmanager
from functools import cached_property
from time import process_time
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from gdlogit import GDLogisticRegression

from .cases import batches, data, in_form

SECONDS = 60  # of all cores together, that one fit may take: on slow and shared machines, too
FEW_PARAMETERS, FEW_PRODUCTS = 500, 20_000  # up to which scikit-learn's slower solvers are asked, too


class TooSlow(BaseException):
    """Nothing that is meant to handle errors shall handle it."""


class Fit(NamedTuple):
    """What a fit left: the estimator, fitted or not; what it warned of, or raised; whether it wrote to its input."""

    model: GDLogisticRegression
    said: list
    error: Exception | None
    seconds: float
    peak: int  # bytes that were allocated at most
    touched: bool


class Trial:
    """The fits of one case."""

    def __init__(self, case):
        self.case, self.data = case, data(case)
        parameters = dict(case.parameters)
        if isinstance(parameters["class_weight"], dict):
            labels = dict(zip(self.data.codes.tolist(), self.data.y.tolist(), strict=True))
            parameters["class_weight"] = {labels[c]: w for c, w in parameters["class_weight"].items()}
        self.parameters = parameters

    @cached_property
    def fit(self):
        """The case as it is."""
        return self.run(self.case.form, self.case.dtype, self.parameters)

    @cached_property
    def plain(self):
        """The same on a plain array."""
        return self.run("ndarray", self.case.dtype, self.parameters)

    @cached_property
    def exact(self):
        """The default solver in double precision."""
        exact = {"solver": "auto", "tol": 1e-12, "max_iter": 1000, "early_stopping": False}
        return self.run("ndarray", "float64", self.parameters | exact)

    def run(self, form, dtype, parameters, model=None):
        """One fit, of a new estimator unless one is given."""
        X = in_form(self.case._replace(form=form, dtype=dtype), self.data.X)
        given = X, *(series(values) if form == "pandas" else values for values in (self.data.y, self.data.weight))
        before = contents(given)
        model = model or GDLogisticRegression(**parameters)
        error, began = None, process_time()
        tracemalloc.start()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                with no_longer_than(SECONDS):
                    if "batches" in form:
                        model.fit_batches(batches(*given))
                    else:
                        model.fit(*given)
            except Exception as raised:
                error = raised
            except TooSlow:
                error = TimeoutError(f"more than {SECONDS} s")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return Fit(model, said, error, process_time() - began, peak, contents(given) != before)

    def objective(self, model):
        """J at the model's coefficients, from its definition, in extended precision."""
        X = self.data.X.astype(np.longdouble)
        coef = sp.csr_matrix(model.coef_).toarray().astype(np.longdouble)
        z = X @ coef.T + model.intercept_
        z = np.hstack([0 * z, z]) if z.shape[1] == 1 else z
        top = z.max(axis=1)
        loss = top + np.log(np.exp(z - top[:, None]).sum(axis=1)) - z[np.arange(len(z)), self.data.codes]
        r, weight = self.case.parameters["l1_ratio"], self.weight
        penalty = ((1 - r) / 2 * (coef**2).sum() + r * np.abs(coef).sum()) / self.case.parameters["C"]
        return float((weight @ loss + penalty) / weight.sum())

    @cached_property
    def weight(self):
        """Of each row, with that of its class."""
        codes, given = self.data.codes, self.case.parameters["class_weight"]
        weight = np.ones(len(codes)) if self.data.weight is None else self.data.weight
        if given == "balanced":
            total = np.bincount(codes, weight)
            weight = weight * (total.sum() / (len(total) * total))[codes]
        elif given:
            weight = weight * np.array([given[code] for code in range(len(given))])[codes]
        return weight.astype(np.longdouble)

    @cached_property
    def lowest(self):
        """J at each answer that was found, by who found it."""
        models = {name: getattr(self, name).model for name in ("fit", "plain", "exact")}
        models |= dict(self.theirs())
        values = {name: self.objective(model) for name, model in models.items() if hasattr(model, "coef_")}
        return min((value, name) for name, value in values.items() if np.isfinite(value))

    def theirs(self):
        """Yield scikit-learn's solvers, as tightly as they go; they may end anywhere."""
        C, r = self.case.parameters["C"], self.case.parameters["l1_ratio"]
        k, (n, p) = self.case.n_classes, self.data.X.shape
        few, tiny = (p + 1) * k <= FEW_PARAMETERS, n * p * k <= FEW_PRODUCTS
        solvers = {
            "lbfgs": r == 0,
            "newton-cholesky": r == 0 and few,
            "liblinear": r in (0, 1) and k == 2 and C < 1e3 and tiny,
            "saga": r > 0 and tiny,
        }
        shared = {name: self.parameters[name] for name in ("C", "l1_ratio", "fit_intercept", "class_weight")}
        for solver in (solver for solver, can in solvers.items() if can):
            most = 1000 if solver != "saga" else 300
            model = LogisticRegression(solver=solver, tol=1e-10, max_iter=most, random_state=0, **shared)
            with warnings.catch_warnings(), np.errstate(all="ignore"), threadpool_limits(1):
                warnings.simplefilter("ignore")
                try:
                    yield f"scikit-learn's {solver}", model.fit(self.data.X, self.data.y, self.data.weight)
                except (ValueError, ArithmeticError, np.linalg.LinAlgError):
                    continue


def series(values):
    """As they come with a DataFrame."""
    import pandas as pd

    return None if values is None else pd.Series(values, index=np.arange(len(values))[::-1])


@contextmanager
def no_longer_than(seconds):
    """Raise TooSlow once the process has worked so long, on all cores together; where there is no such clock, wait."""

    def stop(*_):
        raise TooSlow

    if not hasattr(signal, "ITIMER_PROF"):
        yield
        return
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def contents(given):
    """The numbers and labels in what a fit is given."""
    arrays = []
    for part in given:
        if sp.issparse(part):
            names = ("data", "indices", "indptr", "coords")
            part = [array for name in names if hasattr(part, name) for array in np.atleast_1d(getattr(part, name))]
        elif hasattr(part, "to_numpy"):
            part = [part.to_numpy()]
        arrays += part if isinstance(part, list) else [part]
    return [array if array is None else np.asarray(array).tolist() for array in arrays]
