"""Where a payment may lead back to: ours, and not one letter beside it."""

from __future__ import annotations

import pytest

from server.errors import Invalid
from server.return_addresses import MAX_ADDRESS_CHARS, ReturnAddresses

OURS = "https://anime.example"
PRODUCTION = ReturnAddresses(OURS, ("https://app.example", "http://lan.example:8080", "not an origin", OURS))
DEVELOPMENT = ReturnAddresses("http://127.0.0.1:8000", ("*",))


@pytest.mark.parametrize(
    "address",
    [
        OURS,
        f"{OURS}/",
        f"{OURS}/done?checkout_id={{CHECKOUT_ID}}#paid",
        f"{OURS}:443/done",
        f"{OURS}:/done",
        "https://ANIME.Example/done",
        "HTTPS://anime.example/",
        f"{OURS}/user@evil.example",
        f"{OURS}?next=https://evil.example",
        "https://app.example/checkout",
        "http://lan.example:8080/",
    ],
)
def test_ours(address: str) -> None:
    assert PRODUCTION.page("successUrl", address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://evil.example/",
        "https://anime.example@evil.example/",
        "https://anime.example:443@evil.example/",
        "https://user:word@anime.example/",
        "https://@anime.example/",
        "https://evil.example\\@anime.example/",
        "https:\\\\anime.example/",
        "https://anime.example\\.evil.example/",
        "//evil.example/",
        "//anime.example/",
        "/done",
        "done",
        "https:anime.example",
        "https:/anime.example",
        "https:///anime.example/",
        "javascript:alert(1)//https://anime.example",
        "data:text/html,hello",
        "ftp://anime.example/",
        "http://anime.example/",
        "https://anime.example./",
        "https://anime.example.evil.example/",
        "https://evilanime.example/",
        "https://www.anime.example/",
        "https://anime.example%2eevil.example/",
        "https://anime.example%40evil.example/",
        "https://anime.example:8443/",
        "https://anime.example:80/",
        "https://anime.example:port/",
        "https://anime.example:99999/",
        "https://anime.example;evil.example/",
        "https://[anime.example/",
        "https://anime\uff0eexample/",
        "https://an\u0456me.example/",
        "http://lan.example/",
        "http://lan.example:8081/",
        "http://localhost/",
        "http://127.0.0.1:8000/",
        " https://anime.example/",
        "https://anime.example/ ",
        "https://anime.example/a b",
        "https://anime.example/\n",
        "https://an\time.example/",
        "https://anime.example/\x00",
        "https://anime.example/\x7f",
        f"{OURS}/{'a' * MAX_ADDRESS_CHARS}",
    ],
)
def test_not_ours(address: str) -> None:
    with pytest.raises(Invalid) as refusal:
        PRODUCTION.page("successUrl", address)
    assert refusal.value.more == {"field": "successUrl"}
    with pytest.raises(Invalid):
        PRODUCTION.origin("embedOrigin", address)


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8000/",
        "http://localhost:5173/done",
        "https://LOCALHOST/",
        "http://127.0.0.1/",
        "http://[::1]:3000/",
    ],
)
def test_in_development_this_machine_is_ours(address: str) -> None:
    assert DEVELOPMENT.page("successUrl", address) == address


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/", "http://localhost.evil.example/", "http://127.0.0.1.evil.example/", "http://127.0.0.2/",
        "http://localhost./", "http://0.0.0.0/", "http://[::2]/", "http://localhost@evil.example/", "file://localhost/etc",
    ],
)  # fmt: skip
def test_in_development_nothing_else_is(address: str) -> None:
    with pytest.raises(Invalid):
        DEVELOPMENT.page("successUrl", address)


@pytest.mark.parametrize(("address", "origin"), [(OURS, OURS), ("https://ANIME.example:443", f"{OURS}:443")])
def test_an_origin(address: str, origin: str) -> None:
    assert PRODUCTION.origin("embedOrigin", address) == origin


@pytest.mark.parametrize("rest", ["/", "/done", "?", "?a=b", "#", "#a"])
def test_an_origin_is_nothing_more(rest: str) -> None:
    assert PRODUCTION.page("successUrl", OURS + rest)
    with pytest.raises(Invalid) as refusal:
        PRODUCTION.origin("embedOrigin", OURS + rest)
    assert "origin" in refusal.value.message
