"""The programs that jobs run. Imported by job functions only, one class at a time."""
