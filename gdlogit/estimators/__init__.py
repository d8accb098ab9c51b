"""scikit-learn's side: checks, encoding, fit, predict, callbacks and warnings."""
