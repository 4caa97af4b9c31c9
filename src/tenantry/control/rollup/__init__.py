"""The roll-up index kept up: one process of the fleet copies what has changed; anybody can compare."""
