"""Embedders, one vendor a file."""
