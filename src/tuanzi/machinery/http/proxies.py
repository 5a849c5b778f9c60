"""Proxies in front: whose word is taken for whom a request came from."""

from __future__ import annotations

import ipaddress

from tuanzi.base.network import plain_address

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


ALL = "*"


def networks_of(proxies: str) -> list[Network]:
    """The networks that proxies are in, as `Proxies` takes them; none for `*`. Raises ValueError."""
    names = [] if proxies.strip() == ALL else proxies.split(",")
    return [ipaddress.ip_network(name.strip()) for name in names if name.strip()]


class Proxies:
    """Believes those it was told of.

    proxies: addresses or networks, comma separated, whose X-Forwarded-For is believed; `*` believes all.
    """

    def __init__(self, proxies: str) -> None:
        """Raises ValueError for a proxy that is no address."""
        self._trusts_all = proxies.strip() == ALL
        self._trusted = networks_of(proxies)

    def client_of(self, peer: tuple[str, int] | None, headers: list[tuple[bytes, bytes]]) -> tuple[str, int] | None:
        """Whom a request came from: the last address named by a proxy that is believed, and is none itself."""
        if peer is None or not (self._trusts_all or (self._trusted and self._is_trusted(peer[0]))):
            return peer
        named = b",".join([value for name, value in headers if name == b"x-forwarded-for"]).decode("latin-1")
        hosts = [host.strip() for host in named.split(",") if host.strip()]
        for host in reversed(hosts):
            if not self._trusts_all and not self._is_trusted(host):
                return host, 0
        return (hosts[0], 0) if hosts else peer

    def _is_trusted(self, host: str) -> bool:
        try:
            address = plain_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)
