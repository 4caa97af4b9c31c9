"""What requests cost: counts and latencies of shards and tenants over a sliding window, of all gateways of a fleet."""
