"""Frozen values and the pure rules about them; imports no I/O, clock or randomness."""
