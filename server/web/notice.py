"""What is shown while the page is not there: that it is being built, or what is missing. It becomes the page by itself."""

from __future__ import annotations

from html import escape
from http import HTTPStatus

from starlette.responses import HTMLResponse

from server.web.policy import policy_with_style

LOOK_AGAIN_S = 1
STYLE = """
:root { color-scheme: light dark; --paper: light-dark(#f3f2ee, #100e1f); --ink: light-dark(#15132f, #f3f0ff);
  --soft: light-dark(#565274, #b3adcf); --hot: light-dark(#ff2d6f, #ff4d86); --dot: light-dark(#15132f21, #f3f0ff1a); }
body { margin: 0; min-height: 100vh; display: grid; place-content: center; padding: 2rem; box-sizing: border-box;
  font: 500 1.0625rem/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
main { max-width: 34rem; padding: 3.5rem 2rem; text-align: center; border: 2px dashed var(--soft); border-radius: 10px;
  background: radial-gradient(var(--dot) 1.4px, transparent 1.8px) 0 0 / 9px 9px; }
h1 { margin: 1rem 0 .5rem; font-size: 1.75rem; line-height: 1.2; text-wrap: balance; }
p { margin: 0; color: var(--soft); overflow-wrap: anywhere; text-wrap: pretty; }
svg { width: 4rem; height: 4rem; fill: #15132f; }
.drop { fill: var(--hot); stroke: var(--ink); stroke-width: 4; stroke-linejoin: round; }
.waits { animation: drip 1s ease-in-out infinite; transform-origin: 50% 100%; }
@keyframes drip { 0%, 100% { transform: scale(1.1, .85); } 50% { transform: translateY(-18%) scale(.92, 1.1); } }
@media (prefers-reduced-motion: reduce) { .waits { animation: none; } }
"""
HEADERS = {
    "Content-Security-Policy": policy_with_style(STYLE),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Retry-After": str(LOOK_AGAIN_S),
}
DROP = (
    '<svg class="{}" viewBox="0 0 64 64" aria-hidden="true">'
    '<path class="drop" d="M32 3c4 14 24 25 24 41a24 19 0 0 1-48 0C8 28 28 17 32 3Z"/>'
    '<ellipse cx="23" cy="43" rx="6" ry="7.5"/><ellipse cx="41" cy="43" rx="6" ry="7.5"/></svg>'
)
BUILDING = "It takes less than a minute, once. This becomes the page by itself; everything else is already running."


def notice_page(why: str, *, is_building: bool) -> HTMLResponse:
    """A small calm page. While there is something to wait for it looks again every second."""
    heading, text = ("The page is being built", BUILDING) if is_building else ("The page is not here", why)
    again = f'<meta http-equiv="refresh" content="{LOOK_AGAIN_S}">' if is_building else ""
    drop = DROP.format("waits" if is_building else "rests")
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{heading} · Anime Leak</title>{again}'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<style>{STYLE}</style></head><body><main>{drop}<h1>{heading}</h1><p>{escape(text)}</p>"
        "</main></body></html>"
    )
    return HTMLResponse(page, HTTPStatus.SERVICE_UNAVAILABLE, HEADERS)
