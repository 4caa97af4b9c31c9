"""What adapters share: options of a shard, and an index made of the few things that every engine can do."""
