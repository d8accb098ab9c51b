"""Arrays of numbers that a user passes beside X: weights, offsets, counts, factors."""

from typing import Any

import numpy as np
from sklearn.utils.validation import check_array

__all__ = ["as_numbers"]


def as_numbers(values: Any, name: str, **checks: Any) -> np.ndarray:
    """The values as an array of float64; an error that names the argument where they are no numbers."""
    try:
        return check_array(values, ensure_2d=False, dtype=np.float64, input_name=name, **checks)
    except (TypeError, ValueError) as error:
        if name in str(error):
            raise
        raise type(error)(f"{name} must be numbers: {error}") from None
