"""Migrations: many tenants to other shards, in waves, by moves. `risk`, `waves` and `gates` are pure and decide;
`planning` makes a plan of what is measured, `service` carries it out, `report` tells what became of it."""
