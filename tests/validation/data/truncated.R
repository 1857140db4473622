# What R gives on follow-up cut at the horizon: Rscript truncated.R < truncated.csv > truncated.json
# survival's coxph (Efron) and concordance; calibration in the large by uniroot on the mean risk.
library(survival)
d <- read.csv(file("stdin"))
cloglog <- function(p) log(-log(1 - p))
at <- function(h, risk) {
  cut <- data.frame(time = pmin(d$time, h), status = d$status * (d$time <= h), x = cloglog(risk))
  fit <- coxph(Surv(time, status) ~ x, cut, control = coxph.control(eps = 1e-11, toler.chol = 1e-13, iter.max = 50))
  km <- summary(survfit(Surv(time, status) ~ 1, cut), times = h)
  shift <- uniroot(function(a) mean(1 - exp(-exp(cut$x + a))) - (1 - km$surv), c(-5, 5), tol = 1e-13)
  c <- concordance(Surv(d$time, d$status) ~ risk, reverse = TRUE, ymax = h)
  c(unname(coef(fit)), shift$root, unname(c$concordance))
}
whole <- coxph(Surv(time, status) ~ cloglog(risk5), d, control = coxph.control(eps = 1e-11, toler.chol = 1e-13))
show <- function(v) paste0("[", paste(sprintf("%.12f", v), collapse = ", "), "]")
cat("{\n")
cat('  "made by": "R', paste(R.version$major, R.version$minor, sep = "."), "survival", as.character(packageVersion("survival")), '",\n')
cat('  "slope, shift, C at 1826 days":', show(at(1826, d$risk5)), ",\n")
cat('  "slope, shift, C at 3652 days":', show(at(3652, d$risk10)), ",\n")
cat('  "slope of the risk by 1826 days over all follow-up":', sprintf("%.12f", coef(whole)), "\n}\n")
