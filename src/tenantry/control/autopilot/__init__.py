"""The auto-pilot: warnings into plans, plans into moves, within windows and budgets. `deciding` is pure."""
