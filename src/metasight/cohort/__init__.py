"""Cohort: tables in, eligibility and outcomes out, every decision a ledger row."""
