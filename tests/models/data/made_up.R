# What R gives on made_up.csv: Rscript made_up.R < made_up.csv > made_up.json
# Ties by Efron; crr's standard errors count the estimated censoring weights.
suppressMessages({library(survival); library(cmprsk)})
d <- read.csv(file("stdin"))
d$stage2 <- as.numeric(d$stage == "b"); d$stage3 <- as.numeric(d$stage == "c")
tight <- coxph.control(eps = 1e-12, toler.chol = 1e-14, iter.max = 60)
fit <- coxph(Surv(time, status == 1) ~ size + marker + node + stage, d, ties = "efron", control = tight)
plain <- coxph(Surv(time, status == 1) ~ marker + node + stage, d, ties = "efron", control = tight)
knots <- quantile(d$size, c(0.10, 0.50, 0.90))
bend <- function(x, k) {
  p <- function(t) pmax(x - t, 0)^3
  (p(k[1]) - p(k[2]) * (k[3] - k[1]) / (k[3] - k[2]) + p(k[3]) * (k[2] - k[1]) / (k[3] - k[2])) / (k[3] - k[1])^2
}
d$bend <- bend(d$size, knots)
bent <- coxph(Surv(time, status == 1) ~ size + bend + marker + node + stage, d, ties = "efron", control = tight)
lr <- 2 * (bent$loglik[2] - fit$loglik[2])
z <- as.matrix(d[, c("size", "marker", "node", "stage2", "stage3")])
fg <- crr(d$time, d$status, z, failcode = 1, cencode = 0, gtol = 1e-12, maxiter = 100)
show <- function(v) paste0("[", paste(sprintf("%.12g", unname(v)), collapse = ", "), "]")
row <- function(name, v, end = ",") cat('  "', name, '": ', show(v), end, "\n", sep = "")
zph <- function(transform) {
  t <- cox.zph(fit, transform = transform)$table
  for (k in 1:3) row(paste("zph", transform, c("chisq", "df", "p")[k]), t[, k])
}
cat("{\n")
cat('  "made by": "R ', R.version$major, ".", R.version$minor, ", survival ", as.character(packageVersion("survival")), ", cmprsk ", as.character(packageVersion("cmprsk")), '",\n', sep = "")
row("cox coef", coef(fit)); row("cox se", sqrt(diag(vcov(fit))))
zph("km"); zph("identity")
row("linearity of size: chisq, p", c(lr, pchisq(lr, 1, lower.tail = FALSE)))
row("crr coef", fg$coef); row("crr se", sqrt(diag(fg$var)), "")
cat("}\n")
