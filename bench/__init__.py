"""Measurements of Tenantry against peers and limits, in one run."""
