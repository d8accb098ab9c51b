"""Logistic regression by gradient descent that needs no scaling and no tuning."""

from .backprop import logistic_backward
from .c_min import c_min
from .classifier import GDLogisticRegression
from .display import CoefficientDisplay, DescentPathDisplay, LossCurveDisplay

__all__ = [
    "CoefficientDisplay",
    "DescentPathDisplay",
    "GDLogisticRegression",
    "LossCurveDisplay",
    "c_min",
    "logistic_backward",
]

__version__ = "0.1.0"
