"""Measured values over time: comparison stars, clocks, periods, transits and their plots. Needs numpy and astropy."""
