"""The classes of rows under the names in version 0.1's pickles, which hold the waiting rows of a stream.

``MemoryRows.__setstate__`` reads these rows, and makes new blocks of them.
"""

from .dense import DenseBlock as Block
from .dense import DenseBlock as SparseBlock
from .dense import DenseBlock as WholeBlock
from .memory import MemoryRows as Rows

__all__ = ["Block", "Rows", "SparseBlock", "WholeBlock"]
