"""Route caches."""
