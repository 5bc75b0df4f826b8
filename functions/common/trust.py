"""Whom TLS connections trust, and through which proxy they go: what the usual environment variables say.

Certificates: the machine's, or those of SSL_CERT_FILE or REQUESTS_CA_BUNDLE in their place; for AWS those of AWS_CA_BUNDLE come
first (session.py). Proxies: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, in capitals or not, as urllib reads them.
"""

import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import truststore

BUNDLES: Final = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # the first that is set counts


def ca_bundle(env: Mapping[str, str]) -> str | None:
    """The file (or folder) of certificates to trust in place of the machine's. Raises ValueError with a sentence."""
    name = next((name for name in BUNDLES if env.get(name)), None)
    if name is None:
        return None
    if not Path(env[name]).exists():
        raise ValueError(f"{name} is {env[name]!r}, and there is no such file")
    return env[name]


def tls_context(bundle: str | None = None) -> ssl.SSLContext:
    """For a client. Reading the machine's certificates takes 20 ms. Raises OSError when the bundle cannot be read."""
    if bundle is None:
        return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if Path(bundle).is_dir():
        context.load_verify_locations(capath=bundle)
    else:
        context.load_verify_locations(cafile=bundle)
    return context


def proxy_for(url: str) -> str | None:
    """The proxy's URL for requests to this one; None for the direct way."""
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return found if "://" in found else f"http://{found}"
