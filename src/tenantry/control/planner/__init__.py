"""The planner: which tenants to move where, and why. Pure functions of a view of the cluster."""

from __future__ import annotations

from tenantry.control.planner.planning import plan

__all__ = ["plan"]
