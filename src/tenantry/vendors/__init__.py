"""What several adapters must know of one vendor."""
