"""A user's script whose every faulty line a type checker must refuse, for the reason that stands beside the line."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gdlogit import CoefficientDisplay, GDLogisticRegression, c_min, graph, logistic_backward
from gdlogit.typing import Matrix


def build() -> list[GDLogisticRegression]:
    return [
        GDLogisticRegression(solver="lbfgs"),  # error: arg-type
        GDLogisticRegression(C="1"),  # error: arg-type
        GDLogisticRegression(learning_rate="fast"),  # error: arg-type
        GDLogisticRegression(class_weight=[1, 2]),  # error: arg-type
        GDLogisticRegression(penalty="l1"),  # error: call-arg
        GDLogisticRegression("gd"),  # error: call-arg
    ]


def probabilities(model: GDLogisticRegression, X: Matrix) -> NDArray[np.str_]:
    return model.predict_proba(X)  # error: return-value


def batches() -> Iterator[NDArray[np.float64]]:
    yield np.ones((2, 1))


def use(model: GDLogisticRegression, X: Matrix) -> str:
    model.fit(X)  # error: call-arg
    model.fit(X, None)  # error: arg-type
    model.fit(X, object())  # error: arg-type
    model.fit(X, [0, 1], X_val=X, y_val={"a": 1})  # error: arg-type
    model.fit_batches(batches)  # error: arg-type
    model.partial_fit(X, [0, 1], classes=object())  # error: arg-type
    model.n_iter_ = "many"  # error: assignment
    model.score(X, [0, 1]).upper()  # error: attr-defined
    model.sparsify(True)  # error: call-arg
    return model.duality_gap_  # error: return-value


def rest(model: GDLogisticRegression) -> None:
    c_min([[0.0], [1.0]], [0, 1], 0.5)  # error: call-arg
    c_min([[0.0], [1.0]], [0, 1]).sum()  # error: attr-defined
    logistic_backward([[0.0]], [0], [0.5])["dW"]  # error: typeddict-item
    CoefficientDisplay.from_estimator(model, k="all")  # error: arg-type
    graph.trace(1.0)  # error: arg-type
    graph.backward(graph.Node(1.0))["x"]  # error: index
