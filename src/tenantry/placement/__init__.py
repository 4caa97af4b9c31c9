"""Which shard a new tenant goes to: pure policies over a view of the cluster."""
