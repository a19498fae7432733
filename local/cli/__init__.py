"""The command line for people: one module for each noun, speaking HTTP to any deployment.

These modules are imported to read arguments: what takes long to import is imported by the functions that need it.
"""
