"""Sidereal on one machine: embedded AWS, HTTP server, queue and schedule workers, demo. Never deployed."""
