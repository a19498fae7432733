"""A small telescope portal and its archive, for one machine and for tests: the same HTTP contract as the real ones.

It plays observations through to frames, refuses what the real portal refuses in the same words, and goes wrong on request.
Nothing of it is deployed.
"""
