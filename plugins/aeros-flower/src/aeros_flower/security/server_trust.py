"""What is said of a server that a node cannot, or must not, talk to."""

from __future__ import annotations

import ssl
from pathlib import Path

from aeros_core.errors import ConfigError

__all__ = ["EARLY", "EXPIRED", "NO_PLAIN", "distrust", "unexpected_reply", "unnamed"]

EXPIRED, EARLY = 10, 9
_NAMES = {62, 64}
"""Codes of OpenSSL's X509_V_ERR_…: expired, not yet valid, another host or address."""

NO_PLAIN = "it wants TLS, or speaks gRPC as Flower before 1.40"


def unexpected_reply(address: str, why: str, *, tls: bool) -> ConfigError:
    """Return the error that a server does not speak as it was spoken to.

    Args:
        address: ``HOST:PORT``.
        why: How it is known; empty: it speaks as it was not spoken to.
        tls: Whether it was spoken to in TLS.
    """
    if tls:
        return ConfigError(
            f"{address} does not speak TLS: {why or 'it speaks plain HTTP'}",
            exists="a controller speaks TLS once it has controller.certificate and controller.key",
            hint="start it with both, or this node with --insecure on a network you trust; for a"
            " controller: controller.insecure=true",
        )
    return ConfigError(
        f"{address} does not speak plain HTTP: {why or NO_PLAIN}",
        hint="--ca FILE, the ca.pem beside the controller's certificate, and no --insecure; for a"
        " controller: controller.ca=FILE"
        if why in ("", NO_PLAIN)
        else "HOST:PORT of a controller: where aeros run deployment=flower listens",
    )


def distrust(
    address: str, host: str, error: ssl.SSLCertVerificationError, ca: Path | None
) -> ConfigError:
    """Return the error that a server's certificate is not to be trusted."""
    code = error.verify_code
    if code in {EXPIRED, EARLY}:
        how = "has expired" if code == EXPIRED else "is not valid yet"
        return ConfigError(
            f"the certificate of {address} {how}",
            hint="aeros certs renew beside the controller; if it is good, set this machine's clock",
        )
    if code in _NAMES:
        return ConfigError(
            f"the certificate of {address} is not for {host}",
            hint=f"aeros certs renew {host} beside the controller, or a name that it is for",
        )
    return ConfigError(
        f"the certificate of {address} is not from a CA that this node trusts: "
        f"{error.verify_message}",
        exists=f"trusted: {ca or 'the CAs of this system'}",
        hint="--ca FILE, the ca.pem that lies beside the controller's certificate",
    )


def unnamed(address: str, found: str) -> ConfigError:
    """Return the error that a server's certificate is none that the policy names."""
    return ConfigError(
        f"the policy does not let the controller at {address} ask",
        exists=f"it has the certificate {found}",
        hint=f"controllers: [{{certificate: '{found}'}}] in the policy, if it is the one",
    )
