"""What the edge does with requests and responses, as plain values: the CDK stack and the local run's strict front share them."""

from collections.abc import Sequence
from typing import Final

# What chat_stream serves; every other path of the API is conversations'. CloudFront's patterns, tried in this order.
STREAMED: Final = ("/api/chat*", "/api/turns*", "/api/buds", "/api/health", "/api/config")
API: Final = "/api/*"
AUTHORIZATION_HEADER: Final = "x-forwarded-authorization"  # where the CloudFront function puts the client's own
READ_TIMEOUT_S: Final = 60  # CloudFront's most without a quota; a silent stream says something every 10 s
API_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "PATCH", "POST", "DELETE"})
SITE_METHODS: Final = frozenset({"GET", "HEAD"})
# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/cloudfront-limits.html: a URL; a request without its body.
URL_BYTES: Final = 8_192
REQUEST_BYTES: Final = 20_480
# Lambda: "6 MB each for request and response": the JSON of an event, with the body in it, as base64 unless it is text.
INVOCATION_BYTES: Final = 6_291_556
HSTS_S: Final = 730 * 24 * 3600
CUSTOM_HEADERS: Final = {
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cross-origin-opener-policy": "same-origin",
}


def content_security_policy(sign_in_origins: Sequence[str]) -> str:
    """Nothing but our own files runs or shows, and the browser talks to nobody but us and whoever signs users in."""
    return "; ".join(
        [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            "font-src 'self'",
            "manifest-src 'self'",
            " ".join(["connect-src 'self'", *sign_in_origins]),
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "upgrade-insecure-requests",
        ]
    )


def response_headers(sign_in_origins: Sequence[str]) -> dict[str, str]:
    """What every response gets, whatever the origin said."""
    return {
        "content-security-policy": content_security_policy(sign_in_origins),
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        # Not for subdomains: with an apex domain they are hosts that this stack knows nothing of.
        "strict-transport-security": f"max-age={HSTS_S}",
        **CUSTOM_HEADERS,
    }
