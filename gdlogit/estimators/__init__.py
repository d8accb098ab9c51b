"""scikit-learn's side: checks, encoding, fit, predict, and what a fit says."""
