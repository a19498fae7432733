"""The programs that jobs run. The API imports the classes for their flags: heavy libraries are imported in methods."""
