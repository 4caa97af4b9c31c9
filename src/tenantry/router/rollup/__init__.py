"""The roll-up index as the router sees it: what is written is marked first, and searches ask how fresh it is."""

from tenantry.router.rollup.feed import Feed, Held
from tenantry.router.rollup.freshness import Fresh, Freshness

__all__ = ["Feed", "Fresh", "Freshness", "Held"]
