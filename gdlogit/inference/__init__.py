"""Inference: what the coefficients of a fit say, and how sure that is.

    theta, rows -> Estimate (the maximum of the likelihood, with its information) -> InferenceResult

The maximum of the log-likelihood l has the covariance I^-1, I = -d^2 l / dtheta^2, as far as the model is right; robust
covariances I^-1 (sum_i u_i u_i^T) I^-1 do without that, where u_i is the score of row i. All of this is computed where
features are measured from about their means, and in float64, one block of rows at a time.

This room knows rows, problems and solutions, but no estimator.
"""
