"""Tenantry's own API under /v1."""
