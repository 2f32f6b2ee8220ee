"""The kinds of text that settings are written in: durations, sizes, shares, addresses, patterns.

A validator's ValueError says what was wanted; what was found is added where the fault is told.
"""

from __future__ import annotations

import re
import warnings
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator

from controller.durations import parse_duration

_UNITS = {"": 1, "B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
_SIZE = re.compile(r"([0-9]{1,15})([A-Za-z]*)")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,6})?)%")
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+")
_DATABASES = {"sqlite", "postgresql", "postgresql+psycopg"}


def _length(value: Any) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("a duration such as 30s, 15m, 1h30m or 7d")
    return parse_duration(value)


def _positive(value: timedelta) -> timedelta:
    if value <= timedelta():
        raise ValueError("a duration longer than 0s")
    return value


def parse_size(text: str) -> int:
    """Bytes of `512`, `64KiB`, `1MiB`. Raises ValueError, saying what was wanted."""
    match = _SIZE.fullmatch(text)
    if match is None or match[2] not in _UNITS:
        raise ValueError("bytes, or a size such as 64KiB or 1MiB")
    return int(match[1]) * _UNITS[match[2]]


def format_size(size: int) -> str:
    """`size` bytes in the largest binary unit that divides it: `1MiB`."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)


def _size(value: Any) -> int:
    if isinstance(value, str):
        return parse_size(value)
    if type(value) is int:
        return value
    raise ValueError("bytes, or a size such as 64KiB or 1MiB")


def _share(value: Any) -> float:
    if isinstance(value, float):
        return value
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a share such as 10%")
    return float(match[1]) / 100


def _share_in_range(value: float) -> float:
    if not 0 < value <= 1:
        raise ValueError("a share over 0% and up to 100%")
    return value


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `127.0.0.1:8080`, `[::1]:8080`, `:8080` (every interface). Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535 or (host and not _HOST.fullmatch(host)):
        raise ValueError("host:port, such as 127.0.0.1:8080")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - whoever writes no host means every interface


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _address(text: str) -> str:
    split_address(text)
    return text


def _database(text: str) -> str:
    scheme, _, rest = text.partition("://")
    if scheme not in _DATABASES or (scheme == "sqlite" and rest in ("", "/", "/:memory:")):
        raise ValueError("a database URL such as sqlite:////var/lib/modelmend/modelmend.db or postgresql://host/name")
    return text


def _web(text: str) -> str:
    try:
        parts = urlsplit(text)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fine = False
    if not fine or re.search(r"[\x00-\x20\x7f]", text):
        raise ValueError("a URL that begins with http:// or https://")
    return text


def _pattern(value: Any) -> re.Pattern[str]:
    if isinstance(value, re.Pattern):
        return value
    if not isinstance(value, str):
        raise ValueError("a regular expression")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # `[[`: another Python may read it otherwise
            pattern = re.compile(value)
    except (re.error, RecursionError, OverflowError, Warning) as error:
        raise ValueError(f"a regular expression ({error})") from None
    if not {"model", "version"} <= pattern.groupindex.keys():
        raise ValueError("a regular expression with the groups (?P<model>...) and (?P<version>...)")
    return pattern


def _path(value: Any) -> Path:
    if isinstance(value, str | Path) and str(value) and "\0" not in str(value):
        return Path(value)
    raise ValueError("a path")


def _meant(text: str) -> str:
    """Of 10.0.0.1/8, which names an address in a network, the two that it may have been."""
    try:
        return f" ({ip_network(text, strict=False)} or {text.partition('/')[0]})"
    except ValueError:
        return ""


def _network(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        network = ip_network(value)
    except ValueError:
        raise ValueError(f"a network such as 10.0.0.0/8, or an address{_meant(value)}") from None
    if not network.prefixlen:
        raise ValueError("a network smaller than the whole internet")
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    return network if mapped is None or network.prefixlen < 96 else ip_network((mapped, network.prefixlen - 96))


def _header(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9-]+", text):
        raise ValueError("a header's name, of letters, digits and -")
    return text


def _public(text: str) -> str:
    parts = urlsplit(_web(text))
    if parts.query or parts.fragment or parts.username or not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*/?", parts.path):
        raise ValueError("a URL such as https://mend.example.com or https://example.com/modelmend")
    host = parts.netloc.lower().removesuffix({"http": ":80", "https": ":443"}[parts.scheme])
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}"


def _api(text: str) -> str:
    parts = urlsplit(_web(text))
    if "?" in text or "#" in text or parts.path.rstrip("/").endswith("/api/v1"):
        raise ValueError("a URL such as http://prometheus:9090, without a query and without /api/v1")
    return text


def _sent_name(text: str) -> str:
    if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", text):
        raise ValueError("a header's name")
    return text


def _sent_value(text: str) -> str:
    if not re.fullmatch(r"[\x20-\x7e\t]*", text):
        raise ValueError("a header's value, one line of ASCII")
    return text


Length = Annotated[timedelta, BeforeValidator(_length), AfterValidator(_positive)]
Size = Annotated[int, BeforeValidator(_size)]
Share = Annotated[float, BeforeValidator(_share), AfterValidator(_share_in_range)]
Address = Annotated[str, AfterValidator(_address)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
WebUrl = Annotated[str, AfterValidator(_web)]
PublicUrl = Annotated[str, AfterValidator(_public)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
HeaderName = Annotated[str, AfterValidator(_header)]
ApiUrl = Annotated[str, AfterValidator(_api)]
Headers = dict[Annotated[str, AfterValidator(_sent_name)], Annotated[str, AfterValidator(_sent_value)]]
ModelPattern = Annotated[re.Pattern[str], BeforeValidator(_pattern)]
FilePath = Annotated[Path, BeforeValidator(_path)]
