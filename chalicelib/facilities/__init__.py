"""Telescope portals: what a facility offers, and those that are known."""
