"""The way of a request: resolve the tenant's route, act on its shard, merge answers of many shards."""
