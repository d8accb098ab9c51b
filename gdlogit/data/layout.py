"""How rows in memory are cut into blocks, copied, and given to threads: sizes that were measured."""

from typing import NamedTuple

__all__ = ["LAYOUT", "Layout"]


class Layout(NamedTuple):
    """Sizes; docs/decisions says how each was measured.

    A block is small enough to stay in cache between the forward product X W and the backward product X^T dz, so that a
    pass over dense data reads X from memory once. It is large enough to be worth about thirty calls of NumPy.
    """

    block_bytes: int = 2**22  # of X in a block: so much stays in cache
    block_scores: int = 2**15  # most scores of a block: larger arrays are slower to allocate than to compute
    block_rows: int = (
        512  # least rows of a block: adding up gradients of smaller blocks costs as much as their products
    )
    strip_bytes: int = 2**12  # least bytes of a feature in a block, where features are contiguous: a page
    sparse_entries: float = 8  # least entries of a CSR block for each feature, because the gradient is dense
    thread_products: float = 4e6  # multiplications that are worth a thread
    few_bytes: int = 2**18  # of rows: fewer are always copied; more are copied so much at a time
    gram_bytes: int = 2**20  # of the rows that are copied at a time for a Gram matrix: a core's cache
    gram_rows: int = 512  # least rows at a time for a Gram matrix: with fewer, the product is not worth its call
    piece_bytes: int = 2**24  # most bytes of a temporary copy of CSR's values


LAYOUT = Layout()
