"""Parameters that do not go together are refused by name, and the estimator stays as it was."""

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer

from gdlogit import GDLogisticRegression

X, Y = load_breast_cancer(return_X_y=True)
X = X[:, :3]
COUNTS = np.column_stack([1 - Y, Y])
FITS = {
    "penalty_factor": lambda model: model.set_params(penalty_factor=[1, 2, 3]).fit(X, Y),
    "coef_bounds": lambda model: model.set_params(coef_bounds=(0, 1)).fit(X, Y),
    "monotonic_cst": lambda model: model.set_params(monotonic_cst=[1, 0, 0]).fit(X, Y),
    "fit_proba": lambda model: model.fit_proba(X, COUNTS),
}


@pytest.mark.parametrize("name", FITS)
def test_what_does_not_go_with_firths_method_is_named(name):
    model = GDLogisticRegression(C=np.inf, bias_reduction="firth")
    with pytest.raises(
        (ValueError, AttributeError), match=rf"bias_reduction.*{name}|{name}.*bias_reduction|bias_reduction is not"
    ):
        FITS[name](model)
    assert not hasattr(model, "coef_")


@pytest.mark.parametrize("name", ["penalty_factor", "coef_bounds", "monotonic_cst", "bias_reduction"])
def test_there_is_no_partial_fit_with_what_a_stream_cannot_keep(name):
    value = {"penalty_factor": [1, 2], "coef_bounds": (0, 1), "monotonic_cst": [1, 0], "bias_reduction": "firth"}[name]
    with pytest.raises(AttributeError) as error:
        GDLogisticRegression(**{name: value}).partial_fit(X, Y, classes=[0, 1])
    assert f"{name} is not supported by partial_fit" in str(error.value.__cause__)
