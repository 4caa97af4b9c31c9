"""The advisor: how many shards, what they cost, whose cost it is, and whether to shard at all. Pure."""

from tenantry.control.advisor.attribution import attribute
from tenantry.control.advisor.book import price_book
from tenantry.control.advisor.card import advise
from tenantry.control.advisor.sizing import size, workload_of
from tenantry.control.advisor.synthetic import synthetic
from tenantry.control.advisor.whatif import what_if

__all__ = ["advise", "attribute", "price_book", "size", "synthetic", "what_if", "workload_of"]
