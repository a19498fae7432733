"""Who sends a request, as far as that can be known of somebody without a token."""

from ipaddress import IPv6Address, ip_address, ip_network

from chalicelib.handlers.auth import user_or_none
from chalicelib.handlers.request import Request

UNKNOWN_ADDRESS = "unknown"
"""Stands for all addresses that are none, so that nobody gets a throttle of their own by having a strange one."""

_IPV6_PREFIX = 64
"""Bits of an IPv6 address that say whose it is: whoever has one has the others of its network, too."""


def throttle_key(request: Request) -> str:
    """Return what the requests of one caller are counted under: the user of a valid token, else the address."""
    user = user_or_none(request.raw.headers.get("authorization"))
    return f"address:{client_address(request)}" if user is None else f"user:{user}"


def client_address(request: Request) -> str:
    """Return the address that a request came from, as API Gateway saw it; of an IPv6 address its network.

    `X-Forwarded-For` says what the caller likes it to say, and is not looked at.
    """
    identity = request.raw.context.get("identity") or {}
    try:
        address = ip_address(str(identity.get("sourceIp")))
    except ValueError:
        return UNKNOWN_ADDRESS
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return str(ip_network((int(address), _IPV6_PREFIX), strict=False))
        address = address.ipv4_mapped
    return str(address)
