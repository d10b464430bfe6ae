"""Which addresses may be connected to: none of this machine or its networks, unless the pool's policy names it."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable

from liftlock.ports.downloads import DownloadFailedError, DownloadRefusedError

RESOLVE_S = 10.0
_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Addresses:
    """The guard. `private`: `host:port` that are no public addresses and still may be connected to."""

    def __init__(self, private: Iterable[str] = ()) -> None:
        self._private = frozenset(private)

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses of `host` as literals, in the resolver's order, each of them allowed.

        Raises:
            DownloadRefusedError: one of them is not public, and the policy does not name it with this port.
            DownloadFailedError: the name has no address.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RESOLVE_S):
                found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError, TimeoutError) as error:
            raise DownloadFailedError(f"{host[:253]}: the name has no address") from error
        literals = list(dict.fromkeys(str(one[4][0]) for one in found))
        for literal in literals:
            self._check(host, literal, port)
        return literals

    def _check(self, host: str, literal: str, port: int) -> None:
        address = plain(literal)
        if address.is_global and not address.is_multicast:
            return
        shown = f"[{address}]" if address.version == 6 else str(address)
        if not {f"{shown}:{port}", f"{host.lower()}:{port}"} & self._private:
            raise DownloadRefusedError(
                f"{host[:253]}:{port}: {address} is no public address, and the pool's policy does not name it"
            )


def plain(literal: str) -> _Address:
    """Return the address that is really reached: the IPv4 one inside of mapped, 6to4, Teredo and NAT64 addresses."""
    address: _Address = ipaddress.ip_address(literal.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if inner is None and any(address in network for network in _NAT64):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return inner or address
    return address
