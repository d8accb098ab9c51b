"""scikit-learn's classifier with types: scikit-learn has no types, and a type checker sees its methods as Any.

scikit-learn's classes stay the bases, which ``isinstance`` and scikit-learn's stubs, where installed, need. The
inherited methods that a user calls, and the attributes that a fit sets, are declared here for type checkers only.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

import sklearn.utils.metaestimators
from sklearn.base import BaseEstimator, ClassifierMixin

from .address import DocumentationLink
from .callbacks import CallbackSupportMixin

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..typing import Floats

    Request: TypeAlias = bool | str | None

__all__ = ["Classifier", "available_if"]

Method = TypeVar("Method", bound=Callable[..., Any])


def available_if(check: Callable[[Any], bool]) -> Callable[[Method], Method]:
    """scikit-learn's ``available_if``: the method exists if the check of the estimator is true."""
    return sklearn.utils.metaestimators.available_if(check)


class Classifier(DocumentationLink, CallbackSupportMixin, ClassifierMixin, BaseEstimator):
    """What GDLogisticRegression has of scikit-learn."""

    @contextmanager
    def _unchanged_on_error(self) -> Iterator[None]:
        before = vars(self).copy()
        try:
            yield
        except BaseException:
            self.__dict__ = before  # one assignment, so that no second interrupt comes between
            raise

    if TYPE_CHECKING:
        classes_: NDArray[Any]
        coef_: Floats
        intercept_: Floats
        n_iter_: NDArray[np.int32]
        n_features_in_: int
        feature_names_in_: NDArray[np.object_]
        history_: NDArray[np.void]
        loss_curve_: NDArray[np.float64]
        validation_loss_curve_: NDArray[np.float64]
        progressive_loss_curve_: NDArray[np.float64]
        converged_: bool
        tol_: float
        duality_gap_: float
        n_passes_: int
        has_offset_: bool
        class_prior_: NDArray[np.float64]

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            """The parameters, by name."""

        def set_params(self, **params: Any) -> Self:
            """Set parameters, by name."""

        def get_metadata_routing(self) -> Any:
            """Which arguments scikit-learn's metadata routing passes on."""

        def set_callbacks(self, *callbacks: Any) -> Self:
            """Set the callbacks of later fits (scikit-learn 1.9 and later)."""

        def set_fit_request(
            self,
            *,
            sample_weight: Request = ...,
            offset: Request = ...,
            X_val: Request = ...,
            y_val: Request = ...,
            sample_weight_val: Request = ...,
            offset_val: Request = ...,
            client: Request = ...,
        ) -> Self:
            """Ask metadata routing for arguments of ``fit``."""

        def set_partial_fit_request(
            self, *, classes: Request = ..., sample_weight: Request = ..., offset: Request = ...
        ) -> Self:
            """Ask metadata routing for arguments of ``partial_fit``."""

        def set_score_request(self, *, sample_weight: Request = ..., offset: Request = ...) -> Self:
            """Ask metadata routing for arguments of ``score``."""

        def set_predict_request(self, *, offset: Request = ...) -> Self:
            """Ask metadata routing for arguments of ``predict``."""

        def set_predict_proba_request(self, *, offset: Request = ...) -> Self:
            """Ask metadata routing for arguments of ``predict_proba``."""

        def set_predict_log_proba_request(self, *, offset: Request = ...) -> Self:
            """Ask metadata routing for arguments of ``predict_log_proba``."""

        def set_decision_function_request(self, *, offset: Request = ...) -> Self:
            """Ask metadata routing for arguments of ``decision_function``."""
