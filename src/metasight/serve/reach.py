"""From where a workbench may be reached: this machine alone, unless users and TLS protect it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from metasight.errors import StudyError

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Where a workbench listens, and by what names browsers call it.

    Attributes
    ----------
    host
        Address to listen on.
    port
        0 for one that is free.
    names
        Host names in addition to those of the loopback, or the address itself.
    certificate, private_key
        Of TLS, as PEM files; both or neither.
    behind_proxy
        Whether a reverse proxy on this machine or its network speaks TLS with browsers.
    """

    host: str = "127.0.0.1"
    port: int = 0
    names: tuple[str, ...] = ()
    certificate: Path | None = None
    private_key: Path | None = None
    behind_proxy: bool = False

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def is_secure(self) -> bool:
        """Whether browsers come by TLS, so that cookies may be marked as secure."""
        return self.certificate is not None or self.behind_proxy

    @property
    def known_names(self) -> frozenset[str]:
        """Host names, without a port, that a request may be addressed to."""
        own = () if self.host in {"0.0.0.0", "::"} else (self.host.lower(),)  # noqa: S104
        return frozenset({*LOOPBACK_NAMES, *own, *(n.lower() for n in self.names)})


def require_safe(reach: Reach, *, has_users: bool) -> None:
    """Refuse what would show patients to a network without names, passwords and encryption.

    Raises
    ------
    StudyError
        It is not safe, or half of what TLS needs is missing.
    """
    if (reach.certificate is None) != (reach.private_key is None):
        raise StudyError(
            "TLS needs a certificate and its private key",
            remedy="Give both --tls-certificate and --tls-key",
        )
    for path in (reach.certificate, reach.private_key):
        if path is not None and not path.is_file():
            raise StudyError("the file is not there", where=path.name, remedy="Check its path")
    if reach.is_loopback and not reach.behind_proxy:
        return
    if not has_users:
        raise StudyError(
            "the workbench has no users, and would be open to others than this machine",
            value=reach.host,
            remedy="Add users first: `metasight users add STUDY NAME --role reviewer`; or leave "
            "--host out, and it can be reached from this machine alone",
        )
    if not reach.is_secure:
        raise StudyError(
            "passwords and patients would cross the network in the clear",
            value=reach.host,
            remedy="Give --tls-certificate and --tls-key, or --behind-proxy where a reverse proxy "
            "speaks TLS",
        )
    if not reach.names and reach.host in {"0.0.0.0", "::"}:  # noqa: S104
        raise StudyError(
            "it is not said by what name browsers call this machine",
            value=reach.host,
            remedy="Give it as --name HOST; requests to other names are refused",
        )
