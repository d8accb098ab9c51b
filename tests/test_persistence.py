"""A model that is stored, copied, or turned into scikit-learn's own is the same model, and goes on as it would have."""

import copy
import itertools
import pickle
import zipfile
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pytest
import scipy.sparse as sp
import skops.io
from saved_models import (
    CANCER,
    FORMATS,
    MODELS,
    NAMED,
    WITH_SCIKIT_LEARNS_OWN,
    core,
    learned_on,
    load,
    ours,
    predictions,
    save,
)
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import scale

models = pytest.mark.parametrize("name", MODELS)


def by_protocol(protocol):
    return lambda model, _: pickle.loads(pickle.dumps(model, protocol=protocol))


def by_format(form):
    write, read = FORMATS[form]

    def through(model, folder):
        write(model, folder / "model")
        return read(folder / "model")

    return through


def mapped(model, folder):
    joblib.dump(model, folder / "model")
    return joblib.load(folder / "model", mmap_mode="r")


WAYS = {
    **{f"pickle, protocol {protocol}": by_protocol(protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)},
    "joblib": by_format("joblib"),
    "joblib, a read-only memory map": mapped,
    "skops": by_format("skops"),
    "cloudpickle": lambda model, _: pickle.loads(cloudpickle.dumps(model)),
    "deepcopy": lambda model, _: copy.deepcopy(model),
}


def contents(value):
    """A value taken apart into what can be compared, arrays to their bits; but for the seconds that a fit took."""
    if isinstance(value, np.ndarray):
        if value.dtype.names:
            return [contents(value[name]) for name in value.dtype.names if name != "seconds"]
        return value.dtype, value.shape, value.tolist() if value.dtype.hasobject else value.tobytes()
    if isinstance(value, dict):
        return {name: contents(held) for name, held in value.items()}
    if isinstance(value, list | tuple):
        return type(value), [contents(held) for held in value]
    return (type(value), contents(value.__getstate__())) if hasattr(value, "__dict__") else value


@models
@pytest.mark.parametrize("through", WAYS.values(), ids=WAYS)
def test_a_stored_model_is_the_same_and_goes_on_as_it_would_have(name, through, tmp_path):
    fit, (X, y) = MODELS[name]
    model = fit(X, y)
    stored = through(model, tmp_path)
    assert type(stored) is type(model)
    assert stored is not model
    assert contents(core(stored)) == contents(core(model))
    for method, expected in predictions(model, X).items():
        found = getattr(stored, method)(X)
        assert type(found) is np.ndarray
        np.testing.assert_array_equal(found, expected)
    expected, learned = (learned_on(one, X, y) for one in (model, stored))
    np.testing.assert_array_equal(learned, expected)
    assert contents(core(stored)) == contents(core(model))


@models
def test_a_clone_is_unfitted_and_fits_to_the_same_model(name):
    fit, (X, y) = MODELS[name]
    model = core(fit(X, y))
    copied = clone(model)
    assert vars(copied).keys() == copied.get_params().keys()
    assert contents(copied.get_params()) == contents(model.get_params())
    with pytest.raises(NotFittedError):
        copied.predict(X)
    assert contents(copied.fit(X, y)) == contents(clone(pickle.loads(pickle.dumps(model))).fit(X, y))


@pytest.mark.parametrize("through", WAYS.values(), ids=WAYS)
def test_the_number_of_iterations_that_was_stored_as_an_int_is_loaded_as_an_array(through, tmp_path):
    fit, (X, y) = MODELS["binary"]
    model = fit(X, y)
    expected = model.n_iter_
    model.n_iter_ = int(expected[0])  # as version 0.1.0 had it
    stored = through(model, tmp_path)
    assert (stored.n_iter_.shape, stored.n_iter_.dtype) == ((1,), np.int32)
    assert stored.n_iter_ == stored.to_sklearn().n_iter_ == expected


def test_skops_is_told_to_trust_one_type_only(tmp_path):
    for name in ("binary", "l1", "softmax, all in words", "early stopping", "batches", "pipeline"):
        fit, (X, y) = MODELS[name]
        data = skops.io.dumps(fit(X, y))
        assert skops.io.get_untrusted_types(data=data) == ["gdlogit.estimators.classifier.GDLogisticRegression"]
        skops.io.loads(data, trusted=["gdlogit.estimators.classifier.GDLogisticRegression"])


def test_saved_models_are_loaded_and_a_changed_one_is_noticed(tmp_path, capsys):
    save(tmp_path / "models")
    load(tmp_path / "models")
    assert "models saved with scikit-learn" in capsys.readouterr().out
    fit, (X, y) = MODELS["l1"]
    FORMATS["joblib"][0](fit(X, 1 - y), tmp_path / "models" / "l1.joblib")
    with pytest.raises(AssertionError):
        load(tmp_path / "models")


def test_models_of_version_0_1_0_are_the_same_and_go_on(tmp_path):
    with zipfile.ZipFile(Path(__file__).parent / "data" / "models_0.1.0.zip") as models:
        models.extractall(tmp_path)
    load(tmp_path)


# --- scikit-learn's own, and ONNX ---------------------------------------------------------------------------------

ALONE = [name for name in MODELS if name not in WITH_SCIKIT_LEARNS_OWN]


def fitted(name):
    """Of MODELS, and the X that it was fitted to, as an array or CSR."""
    fit, (X, y) = MODELS[name]
    X = X if sp.issparse(X) else np.asarray(X)
    return fit(X, y), X


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ALONE)
def test_to_sklearn_predicts_the_same(name, dtype):
    model, X = fitted(name)
    theirs = model.to_sklearn()
    assert type(theirs) is LogisticRegression
    same = {"rtol": 0, "atol": 1e-12 if sp.issparse(model.coef_) else 0}  # to_sklearn makes them dense again
    half = {"rtol": 0, "atol": np.finfo(np.result_type(model.coef_, dtype)).eps}  # of two classes, its first is 1 - p
    X = sp.csr_array(X).astype(dtype)
    for rows, form in itertools.product((X, X[:1]), (sp.csr_array.toarray, sp.csr_array, sp.csr_matrix)):
        rows = form(rows)
        np.testing.assert_array_equal(theirs.predict(rows), model.predict(rows))
        np.testing.assert_allclose(theirs.decision_function(rows), model.decision_function(rows), **same)
        found, expected = theirs.predict_proba(rows), model.predict_proba(rows)
        assert found.dtype == expected.dtype
        if found.shape[1] > 2:  # theirs subtracts the largest score, which moves the others by its rounding
            rounding = 4 * (1 + np.abs(model.decision_function(rows)).max()) * np.finfo(found.dtype).eps
            np.testing.assert_allclose(found, expected, rtol=rounding)
        else:
            np.testing.assert_allclose(found[:, 1], expected[:, 1], **same)
            np.testing.assert_allclose(found[:, 0], expected[:, 0], **half)


def test_to_sklearn_has_names_and_parameters_and_is_a_copy():
    X, y = NAMED
    model = ours(C=0.5, class_weight="balanced").fit(X, y)
    theirs = model.to_sklearn()
    np.testing.assert_array_equal(theirs.predict(X), model.predict(X))
    np.testing.assert_array_equal(theirs.feature_names_in_, model.feature_names_in_)
    assert (theirs.C, theirs.class_weight, theirs.n_features_in_, theirs.n_iter_) == (0.5, "balanced", 4, model.n_iter_)
    theirs.coef_[:] = theirs.intercept_[:] = 0
    assert model.coef_.all()
    assert model.intercept_.all()
    lasso = ours(l1_ratio=1.0).fit(X, y).sparsify()
    theirs = lasso.to_sklearn()
    assert (theirs.l1_ratio, theirs.solver) == (1.0, "saga")
    np.testing.assert_array_equal(theirs.coef_, lasso.coef_.toarray())
    with pytest.raises(NotFittedError, match="This GDLogisticRegression instance is not fitted yet"):
        ours().to_sklearn()


def test_to_sklearn_fits_the_same_model_again():
    X, y = scale(CANCER[0]), CANCER[1]
    model = ours(C=0.1, fit_intercept=False, tol=1e-12).fit(X, y)
    again = model.to_sklearn().set_params(tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(again.coef_, model.coef_, rtol=0, atol=1e-4 * np.abs(model.coef_).max())
    assert again.intercept_ == model.intercept_ == 0


def in_onnx(model, X):
    """The labels and probabilities that ONNX's own runtime finds."""
    skl2onnx, onnxruntime = pytest.importorskip("skl2onnx"), pytest.importorskip("onnxruntime")
    converted = skl2onnx.to_onnx(model, X[:1], options={"zipmap": False})
    session = onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"X": X})


@pytest.mark.parametrize(("dtype", "atol"), [(np.float64, 1e-14), (np.float32, 1e-5)])
@pytest.mark.parametrize("name", [name for name in ALONE if "many" not in name])
def test_onnx_predicts_the_same(name, dtype, atol):
    model, X = fitted(name)
    labels, probabilities = in_onnx(model.to_sklearn(), X.astype(dtype))
    np.testing.assert_array_equal(labels, model.predict(X))
    np.testing.assert_allclose(probabilities, model.predict_proba(X), rtol=0, atol=atol)


def test_a_pipeline_goes_into_onnx_with_its_last_step_as_scikit_learns():
    fit, (X, y) = MODELS["pipeline"]
    pipeline = fit(X, y)
    labels, probabilities = in_onnx(make_pipeline(*pipeline[:-1], pipeline[-1].to_sklearn()), X)
    np.testing.assert_array_equal(labels, pipeline.predict(X))
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(X), rtol=0, atol=1e-14)
