"""What matrices cost, against the passes over the rows that they save.

The unit is a multiplication in a large product.
"""

__all__ = ["CHOLESKY", "EIGENVECTORS", "pass_price"]

OVERHEAD = 10  # reading an entry of X costs as much as multiplying it for ten scores
THIN = 2  # cost of a multiplication in a pass, or in a factorisation / cost in a large product
# Cost of a factor of a symmetric p x p matrix / p^3: measured with LAPACK, at p = 1,000.
CHOLESKY, EIGENVECTORS = THIN / 3, 4.0


def pass_price(objective) -> float:
    """The price of the two products of a pass: with all scores' coefficients, and with the residuals of all rows."""
    return max(1.0, 2 * THIN * objective.work * (objective.shape[1] + OVERHEAD))
