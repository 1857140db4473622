# Recomputes the headline measure from the published predictions. Base R only, no packages.
#
#   Rscript headline.R [headline.csv]
#
# Prints model,measure,target,value as CSV. Definitions:
# - A patient is compared only with patients that the same fit predicted (same repeat and fold);
#   counts are summed over the folds of a repeat, and the measure is averaged over repeats.
# - C: share of comparable pairs in which who has the event first has the higher risk at the last
#   horizon, ties of risk half; only events by tau count. A competing event never has the event.
# - AUC at a horizon: events by it against patients free of the event, weighted by 1 / G(T-) and
#   1 / G(horizon), G being the Kaplan-Meier estimate of staying uncensored in all patients; events
#   leave its risk set before those who are censored on the same day.
# - Ordinal C: pairs of different nodal stage, ranked by the expected stage.

@SETTINGS@

argument <- commandArgs(trailingOnly = TRUE)
file <- if (length(argument)) argument[1] else "headline.csv"
d <- read.csv(file, stringsAsFactors = FALSE, check.names = FALSE)
# texts that a spreadsheet would run as formulas were written with an apostrophe in front
texts <- vapply(d, is.character, NA)
d[texts] <- lapply(d[texts], function(x) sub("^'('*[=+@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20-])", "\\1", x))

cat("model,measure,target,value\n")
found <- data.frame()
tell <- function(model, measure, target, value) {
  found <<- rbind(found, data.frame(model, measure, target, value))
  quoted <- paste0('"', gsub('"', '""', model), '"')
  cat(paste(quoted, measure, target, sprintf("%.12f", value), sep = ","), "\n", sep = "")
}

# Share of pairs won, ties half, from weights of pairs: rows beat columns where `risk` is higher.
won <- function(risk, i, others) sum((risk[others] < risk[i]) + 0.5 * (risk[others] == risk[i]))

harrell <- function(p) {
  gone <- ifelse(p$status == 2, Inf, p$time_days)
  above <- 0
  pairs <- 0
  for (fold in unique(p$fold)) {
    own <- which(p$fold == fold)
    for (i in own[p$status[own] == 1 & p$time_days[own] <= tau_days]) {
      others <- own[gone[own] > gone[i] | (gone[own] == gone[i] & p$status[own] == 0)]
      above <- above + won(p$risk, i, others)
      pairs <- pairs + length(others)
    }
  }
  above / pairs
}

staying <- function(time, status) {
  days <- sort(unique(time[status == 0]))
  at_risk <- vapply(days, function(t) sum(time >= t) - sum(time == t & status != 0), 0)
  left <- vapply(days, function(t) sum(time == t & status == 0), 0)
  list(days = days, after = cumprod(1 - left / at_risk))
}

before <- function(g, t) {  # G(t-)
  passed <- findInterval(t, g$days, left.open = TRUE)
  c(1, g$after)[passed + 1]
}

auc <- function(p, horizon) {
  g <- staying(p$time_days, p$status)
  at_horizon <- c(1, g$after)[findInterval(horizon, g$days) + 1]
  early <- p$time_days <= horizon
  case <- ifelse(early & p$status == 1, 1 / before(g, p$time_days), 0)
  control <- ifelse(!early, 1 / at_horizon,
                    ifelse(p$status == 2, 1 / before(g, p$time_days), 0))
  weighted(p, case, control)
}

weighted <- function(p, case, control) {
  above <- 0
  pairs <- 0
  for (fold in unique(p$fold)) {
    own <- which(p$fold == fold)
    for (i in own[case[own] > 0]) {
      share <- (p$risk[own] < p$risk[i]) + 0.5 * (p$risk[own] == p$risk[i])
      above <- above + case[i] * sum(control[own] * share)
      pairs <- pairs + case[i] * sum(control[own])
    }
  }
  above / pairs
}

ordinal <- function(p) {
  above <- 0
  pairs <- 0
  for (fold in unique(p$fold)) {
    own <- which(p$fold == fold)
    for (i in own) {
      others <- own[p$status[own] < p$status[i]]
      above <- above + won(p$risk, i, others)
      pairs <- pairs + length(others)
    }
  }
  above / pairs
}

averaged <- function(p, measure) {
  mean(vapply(split(p, p$repeat_number), measure, 0))
}

for (model in c(headline_model, reference_model)) {
  own <- d[d$model == model, ]
  if (nodal) {
    labels <- sort(unique(own$target))
    wide <- own[own$target == labels[1], c("patient", "repeat_number", "fold", "status")]
    keys <- paste(wide$repeat_number, wide$patient)
    chance <- vapply(labels, function(l) {
      part <- own[own$target == l, ]
      part$risk[match(keys, paste(part$repeat_number, part$patient))]
    }, numeric(nrow(wide)))
    wide$risk <- drop(chance %*% (seq_along(labels) - 1))
    tell(model, "ordinal C", "stage", averaged(wide, ordinal))
    wide$risk <- pmin(1, rowSums(chance[, -1, drop = FALSE]))
    tell(model, "AUC", labels[2], averaged(wide, function(p) {
      weighted(p, as.numeric(p$status >= 1), as.numeric(p$status < 1))
    }))
  } else {
    last <- own[own$target == max(horizons_days), ]
    tell(model, "C", sprintf("until %g days", tau_days), averaged(last, harrell))
    for (horizon in horizons_days) {
      at <- own[own$target == horizon, ]
      tell(model, "AUC", sprintf("%g days", horizon), averaged(at, function(p) auc(p, horizon)))
    }
  }
}

if (headline_model != reference_model) {
  lead <- found[found$model == headline_model, ]
  other <- found[found$model == reference_model, ]
  for (k in seq_len(nrow(lead))) {  # both were told in one order
    tell("difference", lead$measure[k], lead$target[k], lead$value[k] - other$value[k])
  }
}
