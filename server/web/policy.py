"""What the page may load and do: its Content-Security-Policy and the headers beside it. Pure.

Invariant: nothing that is written in the page runs, only files of this server; others may add to that only where Clerk is
configured, and then what Clerk's own documentation asks for.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from urllib.parse import urlsplit

CLERK_KEY = re.compile(r"pk_(?:test|live)_(?P<domain>[A-Za-z0-9+/=_-]+)", re.ASCII)
DOMAIN = re.compile(r"(?:[a-z0-9-]+\.)+[a-z]{2,}", re.ASCII)
CHALLENGES = "https://challenges.cloudflare.com"
PORTRAITS = "https://img.clerk.com"

HEADERS = {
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), browsing-topics=()",
    "Referrer-Policy": "no-referrer",
}


def policy_for(public_url: str, clerk_domain: str | None) -> str:
    """The policy of the real page.

    Files and the socket are also named by the public address: a page that was opened under another name of this server
    (localhost for 127.0.0.1) loads pictures from it, and not every browser takes `'self'` for a socket.
    """
    at = urlsplit(public_url)
    here = f"{at.scheme}://{at.netloc}"
    socket = f"{'wss' if at.scheme == 'https' else 'ws'}://{at.netloc}"
    allowed = {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:", "blob:", here],
        "media-src": ["blob:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'", here, socket],
        "manifest-src": ["'self'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
    }
    if clerk_domain is not None:
        clerk = f"https://{clerk_domain}"
        allowed["script-src"] += [clerk, CHALLENGES]
        allowed["style-src"] += ["'unsafe-inline'"]  # its sign-in form writes its own styles
        allowed["img-src"] += [PORTRAITS]
        allowed["connect-src"] += [clerk]
        allowed["form-action"] += [clerk]
        allowed["frame-src"] = [CHALLENGES]
        allowed["worker-src"] = ["'self'", "blob:"]
    return "; ".join(f"{directive} {' '.join(sources)}" for directive, sources in allowed.items())


def policy_with_style(style: str) -> str:
    """The policy of a page that is this one style sheet and text, and loads nothing."""
    fingerprint = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{fingerprint}'; base-uri 'none'; frame-ancestors 'none'"


def clerk_domain_of(publishable_key: str) -> str | None:
    """The address of Clerk's front-end API, which is written in the publishable key; None where it is no such key."""
    key = CLERK_KEY.fullmatch(publishable_key)
    if key is None:
        return None
    try:
        text = base64.b64decode(key["domain"].replace("-", "+").replace("_", "/") + "==").decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        return None
    domain = text.removesuffix("$")
    return domain if text.endswith("$") and DOMAIN.fullmatch(domain) else None
