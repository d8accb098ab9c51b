# Writes glmnet.csv: fits of glmnet to lowbwt.csv, and to R's iris and HairEyeColor. Run it in this folder: Rscript glmnet.R
suppressMessages(library(glmnet))
glmnet.control(fdev = 0, devmax = 1, epsnr = 1e-12, mxitnr = 1000) # a path must not end early

births <- read.csv("lowbwt.csv")
births <- transform(births, race2 = 1 * (race == "black"), race3 = 1 * (race == "other"))
X <- as.matrix(births[c("age", "lwt", "race2", "race3", "smoke", "ptl", "ht", "ui", "ftv")])
low <- births$low
offset <- sqrt(births$age) - 5
weights <- 1 + births$ftv
factors <- c(0, 2, 1, 1, 0.5, 3, 1, 0.25, 1) # glmnet rescales them to a mean of 1

flowers <- as.matrix(iris[1:4])
logs <- log(flowers[, 1:3])

counts <- reshape(as.data.frame(HairEyeColor), idvar = c("Eye", "Sex"), timevar = "Hair", direction = "wide")
eyes <- with(counts, cbind(blue = Eye == "Blue", hazel = Eye == "Hazel", green = Eye == "Green", female = Sex == "Female")) + 0
hair <- as.matrix(counts[3:6]) # black, brown, red, blond

found <- NULL
keep <- function(case, alpha, x, y, family, lambda, standardize = FALSE, ...) {
  path <- lambda * 2^(12:0) # warm starts
  fit <- glmnet(x, y, family, alpha = alpha, lambda = path, standardize = standardize, thresh = 1e-22, maxit = 1e8, ...)
  stopifnot(length(fit$lambda) == length(path), fit$jerr == 0)
  coefs <- coef(fit, s = lambda)
  if (!is.list(coefs)) coefs <- list(coefs)
  for (k in seq_along(coefs)) {
    found <<- rbind(found, data.frame(
      case = case, alpha = alpha, lambda = lambda, class = k - 1, term = c("(Intercept)", colnames(x)),
      coef = sprintf("%.15g", as.matrix(coefs[[k]])[, 1])
    ))
  }
}

for (alpha in c(0, 0.5, 1)) {
  keep("penalty", alpha, X, low, "binomial", 0.02)
  keep("standardized", alpha, X, low, "binomial", 0.02, standardize = TRUE)
  keep("offset", alpha, X, low, "binomial", 0.02, offset = offset)
  keep("factors", alpha, X, low, "binomial", 0.02, penalty.factor = factors)
  keep("bounds", alpha, X, low, "binomial", 0.01, lower.limits = -0.01, upper.limits = 0.5)
  keep("all together", alpha, X, low, "binomial", 0.01,
    offset = offset, weights = weights, penalty.factor = factors, exclude = c(3, 9),
    lower.limits = c(-1, rep(0, 8)), upper.limits = 0.4
  )
  keep("flowers", alpha, flowers, iris$Species, "multinomial", 0.02)
  keep("flowers with an offset", alpha, flowers, iris$Species, "multinomial", 0.02, offset = logs)
  keep("flowers with all", alpha, flowers, iris$Species, "multinomial", 0.01,
    offset = logs, penalty.factor = c(1, 3, 0.5, 1), lower.limits = -1, upper.limits = 0.75
  )
  keep("hair", alpha, eyes, hair, "multinomial", 0.01, penalty.factor = c(1, 1, 2, 0))
}
write.csv(found, "glmnet.csv", row.names = FALSE, quote = FALSE)
