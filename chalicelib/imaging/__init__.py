"""FITS in, pixels out. Imported by pipelines only: numpy and image libraries stay out of the API."""
