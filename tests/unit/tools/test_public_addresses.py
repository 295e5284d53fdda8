"""Which addresses are public: the same on every version of Python."""

import ipaddress

import pytest
from orchestrator_services.tools.public_addresses import is_public

SPECIAL = [
    # https://www.iana.org/assignments/iana-ipv4-special-registry
    "0.0.0.0/8", "0.0.0.0/32", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.9/32", "192.0.0.10/32", "192.0.0.170/32",
    "192.0.0.171/32", "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.88.99.2/32",
    "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
    "255.255.255.255/32", "224.0.0.0/4",
    # https://www.iana.org/assignments/iana-ipv6-special-registry
    "::1/128", "::/128", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64",
    "2001::/23", "2001::/32", "2001:1::1/128", "2001:1::2/128", "2001:1::3/128", "2001:2::/48", "2001:3::/32",
    "2001:4:112::/48", "2001:10::/28", "2001:20::/28", "2001:30::/28", "2001:db8::/32", "2002::/16",
    "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "::/96",
]  # fmt: skip
METADATA = [
    "169.254.169.254", "169.254.170.2", "169.254.0.23", "168.63.129.16", "192.0.0.192", "100.100.100.200",
    "fd00:ec2::254", "fd20:ce::254", "fe80::a9fe:a9fe",
]  # fmt: skip
EMBEDDED = [
    "::ffff:{}", "::{}", "64:ff9b::{}", "64:ff9b:1::{}", "2002:{hex}::1", "2001:0:{hex}::1",
    "2606:4700::5efe:{}", "2606:4700::200:5efe:{}",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
    "126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0",
    "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0",
    "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
    "2606:4700:4700::1111", "2001:4860:4860::8888", "2001:200::1", "2a00:1450::1", "2003::1", "3ffe::1",
    "2400:cb00::1", "::ffff:1.1.1.1", "::ffff:808:808",
]  # fmt: skip


@pytest.mark.parametrize("network", SPECIAL)
def test_no_address_of_a_special_range_is_public(network: str) -> None:
    whole = ipaddress.ip_network(network)

    assert not is_public(str(whole.network_address))
    assert not is_public(str(whole.broadcast_address))
    assert not is_public(str(whole[whole.num_addresses // 2]))


@pytest.mark.parametrize("address", METADATA)
def test_no_metadata_service_is_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("form", EMBEDDED)
@pytest.mark.parametrize(
    "address", ["10.0.0.1", "127.0.0.1", "169.254.169.254", "192.0.0.192", "168.63.129.16"]
)
def test_no_ipv6_form_of_such_an_address_is_public(form: str, address: str) -> None:
    number = int(ipaddress.IPv4Address(address))
    digits = f"{number >> 16:x}:{number & 0xFFFF:x}"

    assert not is_public(form.format(address, hex=digits))


@pytest.mark.parametrize("form", EMBEDDED[1:])
def test_nor_one_that_contains_a_public_address_unless_it_is_mapped(form: str) -> None:
    assert not is_public(form.format("1.1.1.1", hex="101:101"))


@pytest.mark.parametrize("address", PUBLIC)
def test_addresses_beside_the_ranges_are_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "1.1.1", "1.1.1.1.1", "0x7f000001", "2130706433", "1.1.1.1/32", "01.1.1.1", "1.1.1.1 ",
     "2606:4700::1%eth0", "fe80::1%1", "\N{FULLWIDTH DIGIT ONE}.1.1.1", "[::1]"],
)  # fmt: skip
def test_what_is_no_address_is_not_public(text: str) -> None:
    assert not is_public(text)
