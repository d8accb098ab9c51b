"""Who fits it. To add a peer, add one entry to METHODS.

Every method minimises the same J unless its note says otherwise. ``ladder`` is how a method is measured:

"default"     once, with the parameters that people use
"tol"         at the loosest of the tolerances 1e-1, 1e-2, ... that reaches the gap
"iterations"  at the fewest iterations that reach the gap, its own stopping rule being switched off. No tolerance can
              serve a peer better, so this favours it. (It stops by max_iter, and its warning of that is not counted.)
              With ``--stop tol`` at the loosest tolerance instead, as people can set it, like ours.
"""

import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import csr_array, hstack, issparse
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from gdlogit import GDLogisticRegression

from .torch_lbfgs import TorchLBFGS

NEVER = 1e-300  # a tolerance that does not stop a solver before max_iter
CONSTANT = 1000.0  # the feature that stands in for an intercept where a solver has none, or penalises it


class Stop(NamedTuple):
    """When a fit ends."""

    max_iter: int | None = None
    tol: float = NEVER

    def __str__(self):
        """The setting, as the table shows it."""
        if self.tol > NEVER:
            return f"tol={self.tol:.0e}"
        return f"max_iter={self.max_iter}" if self.max_iter else "default"


def coefficients(model, n_classes):
    """W of shape (n_outputs, n_features) and b of shape (n_outputs,) of a fitted scikit-learn classifier."""
    return model.coef_, model.intercept_


class Method(NamedTuple):
    """A way to fit."""

    name: str
    make: Callable[..., Any]  # (problem, stop, seed) -> an estimator with fit(X, y)
    ladder: str = "iterations"
    family: str = "scikit-learn"  # or "ours", "habit" (not at equal gap), "other"
    applies: Callable[..., bool] = lambda problem: True
    coefficients: Callable[..., tuple[np.ndarray, np.ndarray]] = coefficients
    needs: str = "sklearn"  # the module that must be importable
    seeds: tuple[int, ...] = (0,)  # the settings are judged by the worst of these
    note: str = ""

    @property
    def installed(self):
        """Whether the method can be run here."""
        return find_spec(self.needs) is not None


def _binary(problem):
    return problem.n_classes == 2


def _penalised_binary(problem):
    return problem.n_classes == 2 and np.isfinite(problem.C)


def _l2(problem):
    return problem.l1_ratio == 0


def _dense_l2(problem):
    return _l2(problem) and not issparse(problem.X)


def _strength(problem):
    """The factor of (1 - l1_ratio) |W|^2 / 2 + l1_ratio |W|_1 in J."""
    return 1 / (problem.C * len(problem.y))


def _penalty(problem):
    """C, and l1_ratio where it is not what every version has by default."""
    return {"C": problem.C} | ({"l1_ratio": problem.l1_ratio} if problem.l1_ratio else {})


def _ours(problem, stop, seed):
    return GDLogisticRegression(**_penalty(problem), tol=stop.tol, random_state=seed)


def _ours_default(problem, stop, seed):
    return GDLogisticRegression(**_penalty(problem), random_state=seed)


def _solver(solver, **fixed):
    def make(problem, stop, seed):
        return LogisticRegression(
            solver=solver, **_penalty(problem), tol=stop.tol, max_iter=stop.max_iter, random_state=seed, **fixed
        )

    return make


def _scaled(problem, stop, seed):
    return make_pipeline(StandardScaler(), LogisticRegression(C=problem.C))


def _unscaled_coefficients(model, n_classes):
    scaler, model = model[0], model[-1]
    W = model.coef_ / scaler.scale_
    return W, model.intercept_ - W @ scaler.mean_


def _sgd(problem, stop, seed):
    return SGDClassifier(
        loss="log_loss",
        penalty="elasticnet",
        l1_ratio=problem.l1_ratio,
        alpha=_strength(problem),
        tol=stop.tol if stop.tol > NEVER else None,
        max_iter=stop.max_iter,
        random_state=seed,
    )


def _cyanure(problem, stop, seed):
    from cyanure.estimators import LogisticRegression

    logging.getLogger("Cyanure").setLevel(logging.WARNING)
    strength, l1_ratio = _strength(problem), problem.l1_ratio
    return LogisticRegression(
        penalty={0: "l2", 1: "l1"}.get(l1_ratio, "elasticnet"),
        lambda_1=strength * (l1_ratio or 1),
        lambda_2=strength * (1 - l1_ratio) if l1_ratio else 0.0,
        tol=stop.tol,
        max_iter=stop.max_iter,
        duality_gap_interval=10 if stop.tol > NEVER else stop.max_iter,
        random_state=seed,
    )


def _cyanure_coefficients(model, n_classes):
    return (model.coef_.reshape(1, -1) if n_classes == 2 else model.coef_.T), model.intercept_.ravel()


def _glum(problem, stop, seed):
    from glum import GeneralizedLinearRegressor

    return GeneralizedLinearRegressor(
        family="binomial",
        alpha=_strength(problem),
        l1_ratio=problem.l1_ratio,
        gradient_tol=stop.tol,
        max_iter=stop.max_iter,
        random_state=seed,
    )


def _skglm(problem, stop, seed):
    from skglm import SparseLogisticRegression

    return SparseLogisticRegression(_strength(problem), problem.l1_ratio, tol=stop.tol, max_iter=stop.max_iter)


def _celer(problem, stop, seed):
    from celer import LogisticRegression

    return make_pipeline(
        FunctionTransformer(_with_constant, accept_sparse=True),
        LogisticRegression(C=problem.C, tol=stop.tol, max_iter=stop.max_iter),
    )


def _with_constant(X):
    constant = np.full((X.shape[0], 1), CONSTANT)
    return hstack([X, csr_array(constant)], format="csr") if issparse(X) else np.hstack([X, constant])


def _celer_coefficients(model, n_classes):
    W = model[-1].coef_
    return W[:, :-1], CONSTANT * W[:, -1]


def _glum_coefficients(model, n_classes):
    return model.coef_[None], np.array([model.intercept_])


def _intelex(problem, stop, seed):
    from sklearnex.linear_model import LogisticRegression

    return LogisticRegression(C=problem.C, tol=stop.tol, max_iter=stop.max_iter)


def _torch(problem, stop, seed):
    return TorchLBFGS(problem.C, stop.max_iter, stop.tol)


def _torch_scaled(problem, stop, seed):
    return TorchLBFGS(problem.C, stop.max_iter, stop.tol, scaled=True)


DEFAULT = Method("GDLogisticRegression()", _ours_default, "default", "ours", seeds=(0, 1, 2))
LOOSEST = Method("GDLogisticRegression, loosest tol", _ours, "tol", "ours", seeds=(0, 1, 2))

METHODS = [
    Method(
        "LogisticRegression()",
        lambda problem, stop, seed: LogisticRegression(C=problem.C),
        "default",
        "habit",
        applies=_l2,
    ),
    Method(
        "StandardScaler + LogisticRegression()",
        _scaled,
        "default",
        "habit",
        applies=_dense_l2,
        coefficients=_unscaled_coefficients,
        note="penalises the coefficients of scaled features: another objective, so compare the loss, not the gap",
    ),
    Method("lbfgs", _solver("lbfgs"), applies=_l2),
    Method("newton-cg", _solver("newton-cg"), applies=_l2),
    Method(
        "newton-cholesky",
        _solver("newton-cholesky"),
        applies=lambda problem: _l2(problem) and problem.X.shape[1] <= 10_000,
        note="at most 10,000 features: their Hessian takes 0.8 GB",
    ),
    Method("saga", _solver("saga")),
    Method(
        "liblinear",
        _solver("liblinear", intercept_scaling=CONSTANT),
        applies=lambda problem: _binary(problem) and problem.l1_ratio in (0, 1),
        note="penalises the intercept too; intercept_scaling=1000 makes that penalty 1e6 times smaller "
        "(1e3 with L1), so its minimum is close to that of J (the gap is that of J)",
    ),
    Method(
        "SGDClassifier",
        _sgd,
        applies=_penalised_binary,
        note="epochs; its softmax would be one-versus-rest, so binary only",
    ),
    Method("cyanure", _cyanure, family="other", coefficients=_cyanure_coefficients, needs="cyanure"),
    Method(
        "glum",
        _glum,
        family="other",
        applies=lambda problem: _binary(problem) and problem.X.shape[1] <= 2000,
        coefficients=_glum_coefficients,
        needs="glum",
        note="at most 2,000 features: one iteration takes minutes at 7,129",
    ),
    Method(
        "skglm",
        _skglm,
        family="other",
        applies=lambda problem: _binary(problem) and problem.l1_ratio > 0,
        needs="skglm",
        note="compiled by numba in its first fit",
    ),
    Method(
        "celer",
        _celer,
        family="other",
        applies=lambda problem: _binary(problem) and problem.l1_ratio == 1,
        coefficients=_celer_coefficients,
        needs="celer",
        note="fits no intercept: a constant feature of 1000 stands in, whose penalty is 1000 times smaller",
    ),
    Method("torch LBFGS", _torch, family="other", applies=_dense_l2, needs="torch"),
    Method(
        "torch LBFGS, scaled",
        _torch_scaled,
        family="other",
        applies=_dense_l2,
        needs="torch",
        note="on scaled features, whose penalty is that of the raw ones, so J is the same",
    ),
    Method("sklearnex lbfgs", _intelex, family="other", applies=_l2, needs="sklearnex", note="scikit-learn-intelex"),
]
