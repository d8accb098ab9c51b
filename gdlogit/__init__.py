"""Logistic regression by gradient descent that needs no scaling and no tuning."""

import sys

from .backprop import logistic_backward
from .data import old_names
from .data.threads import ONE_BLAS_THREAD
from .display import (
    CoefficientDisplay,
    CVCurveDisplay,
    DescentPathDisplay,
    EffectsDisplay,
    LossCurveDisplay,
    RegularizationPathDisplay,
)
from .estimators import classifier
from .estimators.c_min import c_min
from .estimators.classifier import GDLogisticRegression
from .estimators.forms import to_sklearn
from .estimators.inference import inference  # the function hides the room of the same name, whose import came first
from .estimators.path import GDLogisticRegressionCV

__all__ = [
    "CVCurveDisplay",
    "CoefficientDisplay",
    "DescentPathDisplay",
    "EffectsDisplay",
    "GDLogisticRegression",
    "GDLogisticRegressionCV",
    "LossCurveDisplay",
    "RegularizationPathDisplay",
    "c_min",
    "inference",
    "logistic_backward",
    "to_sklearn",
]

__version__ = "0.2.0"

# Models that version 0.1 saved refer to these modules by their old places.
OLD_PLACES = {"blocks": old_names, "classifier": classifier, "rows": old_names}
sys.modules |= {f"{__name__}.{name}": module for name, module in OLD_PLACES.items()}

ONE_BLAS_THREAD.find()  # here, because it takes as long as a small fit: every module that loads a BLAS is imported
