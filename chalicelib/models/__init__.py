"""What comes in and what goes out, one module for each noun of the field."""
