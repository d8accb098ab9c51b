"""How rows in memory are cut into blocks, copied, and handed to threads: sizes that were found by measuring."""

from typing import NamedTuple

__all__ = ["LAYOUT", "Layout"]


class Layout(NamedTuple):
    """Sizes; docs/decisions says how each was measured.

    A block is small enough to stay in cache between the forward product X W and the backward product X^T dz, so that a
    pass over dense data reads X from memory once; and large enough to be worth some thirty calls of NumPy.
    """

    block_bytes: int = 2**22  # of X a block: so much stays in cache
    block_scores: int = 2**14  # of all outputs a block, at most: larger arrays are slower to allocate than to compute
    block_rows: int = 512  # but so many rows, or adding up the gradients of blocks costs as much as their products
    sparse_entries: float = 8  # of a block of CSR a feature, at least: its gradient is dense
    thread_products: float = 4e6  # multiplications that a thread must have to do, or handing them over costs more
    few_bytes: int = 2**18  # of rows that are copied at a time, or unasked
    gram_bytes: int = 2**20  # of the copy of rows that a Gram matrix is made of, at a time: so much is a core's cache
    gram_rows: int = 512  # at a time, at least: with fewer, the product is not worth its call
    piece_bytes: int = 2**24  # of a temporary copy of CSR's values, at most


LAYOUT = Layout()
