"""Trackers that speak liftlock's own, neutral form of events."""
