"""The logger and the metrics of all functions (Powertools)."""

from aws_lambda_powertools import Logger, Metrics

SERVICE = "sidereal"

logger = Logger(service=SERVICE)
metrics = Metrics(namespace="Sidereal", service=SERVICE)
