"""For those who write adapters: contract suites, a manual clock, faults."""
