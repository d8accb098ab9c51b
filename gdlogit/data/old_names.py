"""The classes of rows by the names that version 0.1 pickled them by: of a stream's rows that wait.

Its rows are read by ``MemoryRows.__setstate__``, which has no use for its blocks.
"""

from .dense import DenseBlock as Block
from .dense import DenseBlock as SparseBlock
from .dense import DenseBlock as WholeBlock
from .memory import MemoryRows as Rows

__all__ = ["Block", "Rows", "SparseBlock", "WholeBlock"]
