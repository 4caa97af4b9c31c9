"""The control loop: what measures, plans and moves. It meets the router in the catalog."""
