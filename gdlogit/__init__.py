"""Logistic regression by gradient descent that needs no scaling and no tuning."""

from .backprop import logistic_backward
from .classifier import GDLogisticRegression

__all__ = ["GDLogisticRegression", "logistic_backward"]

__version__ = "0.1.0"
