"""Health Check of the asimov REST API."""

from chalice import Blueprint

from chalicelib.handlers.http import Request, Router
from chalicelib.handlers.replies import ASIMOV, Reply

blueprint = Blueprint(__name__)
router = Router(blueprint, ASIMOV)


def health(_request: Request) -> Reply:
    """Say that requests are answered; asks nothing else, so that it stays quick."""
    return Reply({"status": "ok", "version": "v1"})


router.add("/api/v1/health", GET=health)
