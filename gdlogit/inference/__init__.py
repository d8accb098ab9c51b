"""Inference: standard errors, tests, intervals and effects of the coefficients of a fit.

    theta, rows -> Estimate (the maximum of the likelihood, with its information) -> InferenceResult

The maximum of the log-likelihood l has the covariance I^-1, with I = -d^2 l / dtheta^2, if the model is right. Robust
covariances I^-1 (sum_i u_i u_i^T) I^-1, where u_i is the score of row i, do not need that. Everything is computed for
features measured from about their means, and in float64, one block of rows at a time.

This package knows rows, problems and solutions, but no estimator.
"""
