"""Fitted models of every kind, and a check that they outlive the versions that they were saved with.

python tests/saved_models.py save FOLDER    # in one environment
python tests/saved_models.py load FOLDER    # in another: the same predictions, and no warning but scikit-learn's
"""

import pickle
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import scipy.sparse as sp
import sklearn
import skops.io
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gdlogit import GDLogisticRegression

CANCER = load_breast_cancer(return_X_y=True)
IRIS = load_iris(return_X_y=True)
NAMED = pd.DataFrame(IRIS[0]).rename(columns=str), np.array(["setosa", "versicolor", "virginica"], object)[IRIS[1]]
WORDS = (
    sp.random_array((80, 2000), density=0.02, random_state=np.random.default_rng(0), format="csr"),
    np.arange(80) % 2,
)


def ours(**parameters):
    return GDLogisticRegression(**{"random_state": 0} | parameters)


def streamed(X, y, size):
    model = ours()
    for start in range(0, len(y), size):
        model.partial_fit(X[start : start + size], y[start : start + size], np.unique(y))
    return model


def halves(X, y):
    return [(X[::2], y[::2]), (X[1::2], y[1::2])]


# How each is fitted, and to what.
MODELS = {
    "binary": (lambda X, y: ours().fit(X, y), CANCER),
    "softmax, all in words": (lambda X, y: ours(class_weight="balanced").fit(X, y), NAMED),
    "float32": (lambda X, y: ours().fit(X.astype(np.float32), y), CANCER),
    "many features": (lambda X, y: ours().fit(X, y), WORDS),
    "l1": (lambda X, y: ours(l1_ratio=1.0).fit(X, y), CANCER),
    "sparsified": (lambda X, y: ours(l1_ratio=0.9, C=0.1).fit(X, y).sparsify(), IRIS),
    "early stopping": (lambda X, y: ours(early_stopping=True).fit(X, y), CANCER),
    "batches": (lambda X, y: ours(class_weight={0: 2.0}).fit_batches(halves(X, y)), IRIS),
    "stream, rows waiting": (lambda X, y: streamed(X, y, 50), IRIS),
    "stream, rows gone by": (lambda X, y: streamed(np.tile(X, (10, 1)), np.tile(y, 10), 1000), IRIS),
    "stream, many features": (lambda X, y: streamed(X, y, 20), WORDS),
    "pipeline": (lambda X, y: make_pipeline(StandardScaler(), ours()).fit(X, y), CANCER),
    "grid search": (lambda X, y: GridSearchCV(ours(), {"C": [0.1, 1.0]}, cv=2).fit(X, y), IRIS),
}
WITH_SCIKIT_LEARNS_OWN = "pipeline", "grid search"


def core(model):
    """The GDLogisticRegression in a model."""
    model = getattr(model, "best_estimator_", model)
    return model if isinstance(model, GDLogisticRegression) else model[-1]


def predictions(model, X):
    return {name: getattr(model, name)(X) for name in ("predict", "predict_proba", "predict_log_proba")}


def learned_on(model, X, y):
    """The coefficients of a model that goes on with what it has kept: its stream, or its last fit."""
    if isinstance(model, sklearn.pipeline.Pipeline):
        X = model[:-1].transform(X)
    model = core(model)
    if hasattr(model, "_stream"):
        return model.partial_fit(X, y).coef_
    return model.set_params(warm_start=True, C=0.5).fit(X, y).coef_


def pickled(model, file):
    file.write_bytes(pickle.dumps(model))


def unpickled(file):
    return pickle.loads(file.read_bytes())


def by_skops(file):
    """What skops does not trust by itself is ours, or of the packages that the model is made of."""
    types = skops.io.get_untrusted_types(file=file)
    assert {name.split(".")[0] for name in types} <= {"gdlogit", "numpy", "scipy", "sklearn"}
    return skops.io.load(file, trusted=types)


FORMATS = {"pickle": (pickled, unpickled), "joblib": (joblib.dump, joblib.load), "skops": (skops.io.dump, by_skops)}


def save(folder):
    """Each model in each format, with the predictions that it makes here, and what it learns after that."""
    folder.mkdir()
    for name, (fit, (X, y)) in MODELS.items():
        model = fit(X, y)
        for form, (write, _) in FORMATS.items():
            write(model, folder / f"{name}.{form}")
        pickled((sklearn.__version__, predictions(model, X), learned_on(model, X, y)), folder / f"{name}.expected")


def load(folder):
    """Each model from each format that it was saved in: the same classes; other numbers differ by rounding only."""
    for name, (_, (X, y)) in MODELS.items():
        version, expected, learned = unpickled(folder / f"{name}.expected")
        due = (
            {InconsistentVersionWarning} if name in WITH_SCIKIT_LEARNS_OWN and version != sklearn.__version__ else set()
        )
        saved = [form for form in FORMATS if (folder / f"{name}.{form}").exists()]
        assert saved
        for form in saved:
            _, read = FORMATS[form]
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                model = read(folder / f"{name}.{form}")
                found = predictions(model, X)
                again = learned_on(model, X, y)
            assert {warning.category for warning in caught} == due, [str(warning.message) for warning in caught]
            np.testing.assert_array_equal(found.pop("predict"), expected["predict"])
            for method, values in found.items():
                np.testing.assert_allclose(values, expected[method], rtol=1e-12)
            loosely = hasattr(core(model), "_stream") or np.size(learned) > 1500  # versions end at different points
            atol = 0.01 * np.abs(learned).max() if loosely else 1e-8
            np.testing.assert_allclose(again, learned, rtol=1e-5, atol=atol)
    print(f"{len(MODELS)} models saved with scikit-learn {version} are the same with {sklearn.__version__}.")


if __name__ == "__main__":
    {"save": save, "load": load}[sys.argv[1]](Path(sys.argv[2]))
