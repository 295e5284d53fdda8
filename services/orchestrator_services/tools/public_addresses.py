"""Which addresses are certainly public. Python's own tables differ between its versions, so these are here.

Sources: IANA's registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890, RFC 8190), whole ranges, also where
a single address of them can be reached from anywhere: those lead to relays and to the gateway of whoever asks.
"""

import ipaddress
from typing import Final

_NOT_PUBLIC_4: Final = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by a provider's customers; metadata of Alibaba Cloud
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # the host of a virtual machine of Azure; the only one here that no registry has
        "169.254.0.0/16",  # link-local; metadata of most clouds
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; metadata of Oracle Cloud
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
# All that is routed is in here; the rest of IPv6 is local, multicast, translated (NAT64, IPv4-compatible), a segment
# identifier (5f00::/16) or not assigned.
_GLOBAL_6: Final = ipaddress.IPv6Network("2000::/3")
_NOT_PUBLIC_6: Final = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments: Teredo (2001::/32), benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
_ISATAP: Final = (0x00005EFE, 0x02005EFE)
"""The upper half of an interface's id that ends with an IPv4 address (RFC 5214, section 6.1)."""


def is_public(address: str) -> bool:
    """Whether an IP address is certainly a public one.

    Not public are all special-purpose ranges, multicast, addresses of cloud hosts, an address with a zone, and every
    IPv6 form that contains an IPv4 address, except a mapped one whose IPv4 address is public.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv4Address):
        return not any(parsed in network for network in _NOT_PUBLIC_4)
    if parsed.scope_id is not None:
        return False
    if parsed.ipv4_mapped is not None:
        return is_public(str(parsed.ipv4_mapped))
    is_isatap = (int(parsed) >> 32) & 0xFFFFFFFF in _ISATAP
    return parsed in _GLOBAL_6 and not is_isatap and not any(parsed in network for network in _NOT_PUBLIC_6)
