# Rubin's rules as mice pools them, held in imputed.json. Run in this folder:
#   Rscript imputed.R        (Debian: r-base-core r-cran-mice r-cran-survival r-cran-jsonlite)
# imputed.csv holds five imputations of 150 made-up patients (mice's own, seed 7), so that the
# regressions of each can be fitted again.
library(mice)
library(survival)
library(MASS)
library(jsonlite)

set.seed(20260101)
n <- 150
a <- rnorm(n)
b <- 0.6 * a + rnorm(n)
c <- rbinom(n, 1, plogis(0.5 * a))
onset <- rexp(n, exp(0.6 * a - 0.5 * c) / 900)
end <- runif(n, 200, 2000)
time <- ceiling(pmin(onset, end))
status <- as.integer(onset <= end)
stage <- cut(a - 0.4 * c + rlogis(n), c(-Inf, 0.4, 1.8, Inf), labels = FALSE) - 1
d <- data.frame(a, b, c = factor(c), time, status, stage)
d$a[runif(n) < plogis(-1 + 0.5 * b)] <- NA
d$c[runif(n) < 0.15] <- NA
d$hazard <- nelsonaalen(d, time, status)
predictors <- make.predictorMatrix(d)
predictors[, c("time", "stage")] <- 0
imp <- mice(d, m = 5, seed = 7, predictorMatrix = predictors, printFlag = FALSE)
long <- complete(imp, "long")
long$c <- as.integer(as.character(long$c))
write.csv(
  cbind(long[c(".imp", "a", "b", "c", "time", "status", "stage")], hazard = long$hazard),
  "imputed.csv", row.names = FALSE
)

pooled <- function(fits) {
  p <- pool(as.mira(fits))$pooled
  data.frame(
    term = p$term, estimate = p$estimate, variance = p$t, df = p$df, fmi = p$fmi, dfcom = p$dfcom
  )
}
cox <- lapply(1:5, function(k) {
  coxph(Surv(time, status) ~ a + b + c, data = long[long$.imp == k, ], ties = "efron")
})
ordinal <- lapply(1:5, function(k) {
  polr(factor(stage) ~ a + b + c, data = long[long$.imp == k, ], Hess = TRUE)
})
by_hand <- function(v) { # pool() reads no degrees of freedom from polr: n less all parameters
  q <- sapply(ordinal, function(f) coef(f)[v])
  u <- sapply(ordinal, function(f) vcov(f)[v, v])
  s <- pool.scalar(q, u, n = n, k = 5)
  data.frame(term = v, estimate = s$qbar, variance = s$t, df = s$df, fmi = s$fmi)
}
four <- function(...) {
  pool.scalar(c(1.1, 0.8, 1.4, 0.9), c(0.2, 0.25, 0.18, 0.22)^2, ...)[c("qbar", "t", "df", "fmi")]
}
write_json(
  list(
    mice = as.character(packageVersion("mice")),
    cox = pooled(cox),
    ordinal = do.call(rbind, lapply(c("a", "b", "c"), by_hand)),
    scalar = four(n = 60, k = 3),
    infinite = four()
  ),
  "imputed.json", auto_unbox = TRUE, digits = 15, pretty = TRUE
)
