"""One workload on several engines, each in a process of its own."""
