# Writes cv_glmnet.csv: cross-validations of glmnet on lowbwt.csv in nine folds of equal size, the deviance and its
# standard error. Run it in this folder: Rscript cv_glmnet.R
suppressMessages(library(glmnet))
glmnet.control(fdev = 0, devmax = 1, epsnr = 1e-12, mxitnr = 1000) # a path must not end early

births <- read.csv("lowbwt.csv")
births <- transform(births, race2 = 1 * (race == "black"), race3 = 1 * (race == "other"))
X <- as.matrix(births[c("age", "lwt", "race2", "race3", "smoke", "ptl", "ht", "ui", "ftv")])
folds <- rep(1:9, 21)

found <- NULL
for (alpha in c(0, 0.5, 1)) {
  lambda <- 10^seq(0.5, -3.5, length.out = 25)
  cv <- cv.glmnet(X, births$low,
    family = "binomial", alpha = alpha, lambda = lambda, foldid = folds, standardize = FALSE, thresh = 1e-20, maxit = 1e8
  )
  stopifnot(length(cv$lambda) == length(lambda))
  found <- rbind(found, data.frame(
    alpha = alpha, lambda = sprintf("%.15g", cv$lambda), deviance = sprintf("%.15g", cv$cvm),
    error = sprintf("%.15g", cv$cvsd), best = cv$lambda == cv$lambda.min, one_error = cv$lambda == cv$lambda.1se
  ))
}
write.csv(found, "cv_glmnet.csv", row.names = FALSE, quote = FALSE)
