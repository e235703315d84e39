"""Whose address it is: what limits for each address count under.

Behind a proxy the server has already put the client's address in place of the proxy's, if the proxy is one that
`FORWARDED_ALLOW_IPS` names; what anybody else writes into `X-Forwarded-For` is not believed.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

from starlette.requests import HTTPConnection

PREFIX_BITS = 64
"""What one household has of IPv6: counting single addresses of it would count nothing."""
NOWHERE = "nowhere"


def address_of(connection: HTTPConnection) -> str:
    """The address that this request or socket counts under."""
    return NOWHERE if connection.client is None else counted(connection.client.host)


def counted(host: str) -> str:
    """An IPv4 address as it is, also where it is written as IPv6; of any other IPv6 address its network."""
    try:
        return str(IPv4Address(host))
    except AddressValueError:
        pass
    try:
        address = IPv6Address(host.partition("%")[0])
    except AddressValueError:
        return NOWHERE
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), PREFIX_BITS), strict=False))
