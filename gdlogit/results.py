"""What inference gives, for annotations in your own code and for their documentation.

>>> from gdlogit.results import InferenceResult
>>> def significant(result: InferenceResult) -> list[str]:
...     return [name for name, p in zip(result.names, result.pvalues, strict=True) if p < 0.05]
"""

from .inference.effects import Effects
from .inference.firth_result import FirthResult
from .inference.hypotheses import HypothesisTest
from .inference.prediction import Prediction
from .inference.result import CredibleResult, InferenceResult
from .inference.some import SomeResult
from .inference.table import Table

__all__ = [
    "CredibleResult",
    "Effects",
    "FirthResult",
    "InferenceResult",
    "Prediction",
    "SomeResult",
    "Table",
    "HypothesisTest",
]
