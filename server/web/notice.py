"""What is shown while the page is not there: that it is being built, or what is missing. It becomes the page by itself."""

from __future__ import annotations

from html import escape
from http import HTTPStatus

from starlette.responses import HTMLResponse

from server.web.policy import policy_with_style

LOOK_AGAIN_S = 1
STYLE = """
:root { color-scheme: light dark; --ink: #1d1a26; --paper: #fbfaf7; --quiet: #6a6476; --mark: #e4572e; }
@media (prefers-color-scheme: dark) { :root { --ink: #f3f0ea; --paper: #14121b; --quiet: #a29bb0; --mark: #ff7a52; } }
body { margin: 0; min-height: 100vh; display: grid; place-content: center; padding: 2rem; box-sizing: border-box;
  font: 1.0625rem/1.6 ui-sans-serif, system-ui, sans-serif; color: var(--ink); background: var(--paper); }
main { max-width: 34rem; }
h1 { margin: 0 0 .5rem; font-size: 1.75rem; line-height: 1.2; text-wrap: balance; }
p { margin: 0; color: var(--quiet); overflow-wrap: anywhere; }
i { display: block; width: 3rem; height: .25rem; margin-bottom: 1.5rem; border-radius: 1rem; background: var(--mark); }
i.waits { animation: waits 1s ease-in-out infinite alternate; }
@keyframes waits { to { opacity: .25; } }
@media (prefers-reduced-motion: reduce) { i.waits { animation: none; } }
"""
HEADERS = {
    "Content-Security-Policy": policy_with_style(STYLE),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Retry-After": str(LOOK_AGAIN_S),
}
BUILDING = "It takes less than a minute, once. This becomes the page by itself; everything else is already running."


def notice_page(why: str, *, is_building: bool) -> HTMLResponse:
    """A small calm page. While there is something to wait for it looks again every second."""
    heading, text = ("The page is being built", BUILDING) if is_building else ("The page is not here", why)
    again = f'<meta http-equiv="refresh" content="{LOOK_AGAIN_S}">' if is_building else ""
    bar = '<i class="waits"></i>' if is_building else "<i></i>"
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{heading} · Anime Leak</title>{again}'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<style>{STYLE}</style></head><body><main>{bar}<h1>{heading}</h1><p>{escape(why if not is_building else text)}</p>"
        "</main></body></html>"
    )
    return HTMLResponse(page, HTTPStatus.SERVICE_UNAVAILABLE, HEADERS)
