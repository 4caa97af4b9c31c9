"""Feeds of events between the processes of a fleet."""
