"""A sharding control plane and router for vector databases."""
