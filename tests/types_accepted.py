"""A user's script that a type checker must accept: the whole public face, with the types that go in and come out."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
import scipy.sparse as sp
from matplotlib.axes import Axes
from numpy.typing import NDArray

from gdlogit import (
    CoefficientDisplay,
    DescentPathDisplay,
    EffectsDisplay,
    GDLogisticRegression,
    LossCurveDisplay,
    c_min,
    graph,
    inference,
    logistic_backward,
)
from gdlogit.results import InferenceResult
from gdlogit.typing import Floats, Matrix, Solver

Rows = NDArray[np.float64]


def data() -> tuple[Rows, NDArray[np.int64]]:
    X = np.random.default_rng(0).normal(size=(60, 2))
    return X, np.arange(60) % 2


def build(solver: Solver = "auto", C: float = 1) -> GDLogisticRegression:
    return GDLogisticRegression(
        solver=solver,
        C=C,
        l1_ratio=0.0,
        class_weight={"no": 1, "yes": 2.5},
        learning_rate=0.1 if solver == "gd" else "auto",
        random_state=np.random.RandomState(0),
        verbose=False,
    )


def fit(X: Matrix, y: Sequence[str]) -> GDLogisticRegression:
    return build().fit(X, y, sample_weight=[1.0] * len(y))


def forms(X: Rows) -> list[Matrix]:
    return [X, X.tolist(), X.astype(np.float32), pl.DataFrame(X), sp.csr_array(X), sp.csc_matrix(X)]


def predict(model: GDLogisticRegression, X: Matrix) -> tuple[Rows, Floats, Floats]:
    labels: NDArray[np.str_] = model.predict(X)
    assert labels.shape == (60,)
    probabilities: Rows = model.predict_proba(X)
    return probabilities[:, 1], model.predict_log_proba(X), model.decision_function(X)


def attributes(model: GDLogisticRegression) -> dict[str, float]:
    W: Rows = model.coef_
    b: Rows = model.intercept_
    rates: Rows = model.history_["rate"]
    assert len(rates) == model.n_iter_[0]
    assert model.n_features_in_ == W.shape[1]
    least = float(model.loss_curve_[-1])
    return {"b": float(b[0]), "gap": model.duality_gap_, "J": least, "converged": model.converged_}


def inferred() -> tuple[float, float]:
    X, y = data()
    model = GDLogisticRegression(C=float("inf")).fit(X, y)
    result: InferenceResult = inference(model, X, y, cov_type="nonrobust")
    assert model.inference(X, y).names == ("const", "x0", "x1")
    table = result.to_frame(conf_level=0.9)
    assert table.shape == (3, 6)
    errors: Rows = result.bse
    EffectsDisplay.from_inference(result).plot()
    CoefficientDisplay.from_inference(result, odds_ratio=True)
    print(result.summary(), result.margins(), result.predict(X).lower.sum(), result.lr_test("x0").pvalue)
    return float(errors[0]), result.llf


def batches() -> Iterator[tuple[Rows, NDArray[np.int64]]]:
    X, y = data()
    for start in range(0, 60, 20):
        yield X[start : start + 20], y[start : start + 20]


def learn() -> NDArray[np.float64]:
    model = GDLogisticRegression().fit_batches(batches).fit_batches(list(batches()), classes=[0, 1])
    assert model.n_passes_ > 1
    for X, y in batches():
        model = model.partial_fit(X, y, classes=np.array([0, 1]))
    return model.progressive_loss_curve_


def other_forms(model: GDLogisticRegression, X: Matrix, y: Sequence[str]) -> float:
    model = model.sparsify().densify().set_params(C=2.0)
    parameters = model.get_params()
    assert parameters["C"] == 2.0
    assert model.to_sklearn().predict(X) is not None
    return model.score(X, y)


def draw(model: GDLogisticRegression, X: Matrix, y: Sequence[str]) -> Axes:
    curve = LossCurveDisplay.from_estimator(model)
    curve = LossCurveDisplay.from_estimators({"a": model, "b": model}, gap=True, ax=curve.ax_).plot()
    coefficients = CoefficientDisplay.from_estimator(model, X, feature_names=["a", "b"], odds_ratio=True)
    assert coefficients.figure_.get_size_inches().shape == (2,)
    assert len(coefficients.frame()) == 2
    solvers: list[Solver] = ["gd", "auto"]
    paths = DescentPathDisplay.from_estimator(model, X, y, features=(0, "x1"), solvers=solvers, resolution=3)
    assert paths.lines_["gd"].axes is paths.ax_
    return curve.ax_


def textbook() -> str:
    x, w = graph.Node([[1.0, 2.0]], "x"), graph.Node(np.ones((2, 1)), "w")
    z = 0.5 * (x @ w).sum() + x[0, 1] ** 2 - np.ones(1) / graph.exp(-x.T).sum()
    derivatives: dict[graph.Node, Rows] = graph.backward(z.named("z"))
    gradient = logistic_backward(X=[[1.0, 2.0]], Y=[0, 1], A=np.array([0.5, 0.5]))
    dw: Rows = gradient["dw"]
    db: float = gradient["db"]
    step = graph.logistic_step([[1.0, 2.0]], [0, 1], w=[0.0])
    cost: float = step.cost
    return f"{derivatives[w]} {dw} {db} {cost} {graph.trace(step.graph)}"


def main() -> float:
    assert inferred()[0] > 0
    X, y = data()
    labels = np.where(y, "yes", "no").tolist()
    models = [fit(form, labels) for form in forms(X)]
    for model, form in zip(models, forms(X), strict=True):
        predict(model, form)
    attributes(models[0])
    learn()
    draw(models[0], X, labels)
    textbook()
    smallest: float = c_min(sp.csr_array(X), labels, class_weight="balanced")
    return smallest + other_forms(models[0], X, labels)
