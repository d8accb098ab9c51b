# Writes cars.csv, titanic.csv and glm.csv: fits of glm, sandwich, multinom, brglm2 to R's mtcars and Titanic.
# Run it in this folder: Rscript glm.R
suppressMessages({
  library(sandwich)
  library(nnet)
  library(brglm2)
})
cars <- mtcars[c("mpg", "wt", "cyl", "vs", "am", "gear")]
write.csv(cars, "cars.csv", row.names = FALSE)
crew <- as.data.frame(Titanic)
crew <- cbind(
  with(crew, data.frame(
    second = Class == "2nd", third = Class == "3rd", crew = Class == "Crew", female = Sex == "Female", child = Age == "Child"
  )) + 0,
  survived = as.numeric(crew$Survived == "Yes"), n = crew$Freq
)
crew <- crew[crew$n > 0, ]
write.csv(crew, "titanic.csv", row.names = FALSE)
people <- crew[rep(seq_len(nrow(crew)), crew$n), ]

found <- NULL
add <- function(case, what, term, value) {
  found <<- rbind(found, data.frame(case = case, what = what, term = term, value = sprintf("%.15g", value)))
}

binary <- function(case, formula, data, cluster) {
  fit <- glm(formula, binomial, data, control = glm.control(1e-11, 100))
  # summary() takes the weights from before the last step: more steps, from the end
  for (i in 1:3) {
    fit <- suppressWarnings(do.call(glm, list(formula, binomial, data, start = coef(fit), control = glm.control(1e-15, 2))))
  }
  table <- summary(fit)$coefficients
  terms <- rownames(table)
  for (j in 1:4) add(case, c("coef", "se", "z", "p")[j], terms, table[, j])
  for (type in c("HC0", "HC1", "HC2", "HC3")) add(case, type, terms, sqrt(diag(vcovHC(fit, type = type))))
  add(case, "cluster", terms, sqrt(diag(vcovCL(fit, cluster = cluster, type = "HC1"))))
  limits <- suppressMessages(confint(fit))
  add(case, "low", terms, limits[, 1])
  add(case, "high", terms, limits[, 2])
  predicted <- predict(fit, newdata = data[1:3, ], se.fit = TRUE)
  add(case, "linear", 1:3, predicted$fit)
  add(case, "se_linear", 1:3, predicted$se.fit)
  add(case, "logLik", "", as.numeric(logLik(fit)))
  add(case, "AIC", "", AIC(fit))
  add(case, "BIC", "", BIC(fit))
  reduced <- glm(formula, binomial, data, method = "brglmFit", type = "AS_mean", epsilon = 1e-12, maxit = 1000)
  add(case, "firth", terms, coef(reduced))
}
binary("transmission", am ~ wt, cars, cars$cyl)
binary("engine", vs ~ mpg + gear, cars, cars$cyl)
binary("titanic", survived ~ second + third + crew + female + child, people, people$second + 2 * people$third + 3 * people$crew)

gears <- multinom(factor(gear) ~ mpg, cars, trace = FALSE, maxit = 5000, abstol = 0, reltol = 1e-16, Hess = TRUE)
table <- summary(gears)
for (class in rownames(table$coefficients)) {
  add("gears", paste("coef", class), colnames(table$coefficients), table$coefficients[class, ])
  add("gears", paste("se", class), colnames(table$coefficients), table$standard.errors[class, ])
}
add("gears", "logLik", "", as.numeric(logLik(gears)))
reduced <- coef(brmultinom(factor(gear) ~ mpg, data = cars, type = "AS_mean", epsilon = 1e-12, maxit = 1000))
for (class in rownames(reduced)) add("gears", paste("firth", class), colnames(reduced), reduced[class, ])
write.csv(found, "glm.csv", row.names = FALSE, quote = FALSE)
