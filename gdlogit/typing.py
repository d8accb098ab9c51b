"""Types of arguments and results, for annotations in your own code.

SciPy has no types of its own. With the package ``scipy-stubs`` mypy knows what a sparse matrix is; without it mypy
accepts anything for X. pyright knows in both cases.

>>> from gdlogit import GDLogisticRegression
>>> from gdlogit.typing import Floats, Matrix, Solver
>>> def probabilities(X: Matrix, y: list[str], solver: Solver = "auto") -> Floats:
...     return GDLogisticRegression(solver=solver).fit(X, y).predict_proba(X)
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Batch",
    "Batches",
    "ByFeature",
    "ClassWeight",
    "CoefBounds",
    "Floats",
    "Matrix",
    "RandomState",
    "Solver",
    "Sparse",
]


class Sparse(Protocol):
    """A sparse matrix for type checkers that read SciPy's source, and find its methods but not its class."""

    @property
    def nnz(self) -> Any:
        """The number of stored entries."""

    def tocsr(self) -> Any:
        """The same in CSR."""


#: X: an array, lists of numbers, a data frame, or a sparse matrix or array of SciPy's, of any format.
Matrix: TypeAlias = ArrayLike | sp.sparray | sp.spmatrix | Sparse

#: What a model computes: float64, or float32 if the model was fitted to float32, which no type checker can tell.
Floats: TypeAlias = NDArray[np.float64 | Any]

#: The names of the solvers.
Solver: TypeAlias = Literal["auto", "newton-sketch", "gd", "nesterov", "sgd"]

#: Weights of classes, by label.
ClassWeight: TypeAlias = dict[Any, Any] | Literal["balanced"] | None

#: A number for each feature: an array, or a dict by the features' names or numbers; None is the default for all.
ByFeature: TypeAlias = ArrayLike | Mapping[Any, float] | None

#: The smallest and the largest coefficients: (low, high), for all features or for each, or pairs by features' names.
CoefBounds: TypeAlias = tuple[ArrayLike, ArrayLike] | Mapping[Any, tuple[float, float]] | None

#: The seed of a generator, or scikit-learn's.
RandomState: TypeAlias = int | np.integer[Any] | np.random.RandomState | None

#: Some rows and their labels, with or without weights and an offset.
Batch: TypeAlias = (
    tuple[Matrix, ArrayLike]
    | tuple[Matrix, ArrayLike, ArrayLike | None]
    | tuple[Matrix, ArrayLike, ArrayLike | None, ArrayLike | None]
    | Mapping[str, Any]
)

#: Batches that can be read again.
Batches: TypeAlias = Iterable[Batch] | Callable[[], Iterable[Batch]]
