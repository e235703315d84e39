"""The issuer's keys: kept, refreshed, replaced, and never fetched more often than promised."""

from __future__ import annotations

import asyncio
import gzip
import socket

import httpx
import msgspec
import pytest
from jwt.algorithms import RSAAlgorithm

from server.auth.errors import KeysUnavailable
from server.auth.keys import COOLDOWN_S, LIFETIME_MS, MAX_KEY_SET_BYTES, REFRESH_AFTER_MS, RETRY_S, KeySet
from tests.unit.server.auth.issuer_site import IssuerSite, VirtualClock, key_set, public_jwk, rsa_key

K1 = rsa_key("k1").public_key()
K2 = rsa_key("k2").public_key()


async def test_a_key_is_fetched_once_and_kept(keys: KeySet, site: IssuerSite) -> None:
    assert [await keys.find("k1"), await keys.find("k1")] == [K1, K1]
    assert site.requests == 1
    assert "1 keys, current" in repr(keys)


async def test_a_storm_of_unknown_kids_is_one_fetch(keys: KeySet, site: IssuerSite, clock: VirtualClock) -> None:
    await keys.find("k1")
    clock.forward(COOLDOWN_S)
    site.gate.clear()
    storm = [asyncio.create_task(keys.find(f"unknown {number}")) for number in range(200)]
    site.asked.clear()
    await site.await_request()
    site.gate.set()
    assert await asyncio.gather(*storm) == [None] * 200
    assert await keys.find("yet another") is None
    assert site.requests == 2


async def test_callers_that_come_together_first_share_one_fetch(keys: KeySet, site: IssuerSite) -> None:
    assert await asyncio.gather(*(keys.find("k1") for _ in range(50))) == [K1] * 50
    assert site.requests == 1


async def test_a_rotated_key_is_found_after_the_cool_down_and_the_old_one_forgotten(
    keys: KeySet, site: IssuerSite, clock: VirtualClock
) -> None:
    await keys.find("k1")
    site.publish(("k2", rsa_key("k2")))
    clock.forward(COOLDOWN_S - 1)
    assert await keys.find("k2") is None
    clock.forward(1)
    assert await keys.find("k2") == K2
    assert await keys.find("k1") is None
    assert site.requests == 2


async def test_a_known_key_is_served_while_it_is_refreshed_behind(
    keys: KeySet, site: IssuerSite, clock: VirtualClock
) -> None:
    await keys.find("k1")
    site.publish(("k1", rsa_key("k1")), ("k2", rsa_key("k2")))
    clock.forward(REFRESH_AFTER_MS / 1_000)
    site.asked.clear()
    site.gate.clear()
    assert await keys.find("k1") == K1
    await site.await_request()
    assert await keys.find("k1") == K1
    joined = asyncio.create_task(keys.find("k2"))
    site.gate.set()
    assert await joined == K2
    assert site.requests == 2


async def test_past_its_lifetime_a_key_is_checked_before_use(
    keys: KeySet, site: IssuerSite, clock: VirtualClock
) -> None:
    await keys.find("k1")
    site.publish(("k2", rsa_key("k2")))
    clock.forward(LIFETIME_MS / 1_000)
    assert await keys.find("k1") is None


@pytest.mark.parametrize("later_s", [REFRESH_AFTER_MS / 1_000, LIFETIME_MS / 1_000, 48 * 3_600])
async def test_an_outage_keeps_the_known_keys(
    keys: KeySet, site: IssuerSite, clock: VirtualClock, later_s: float
) -> None:
    await keys.find("k1")
    site.status = 503
    clock.forward(later_s)
    for _ in range(10):
        assert await keys.find("k1") == K1
    with pytest.raises(KeysUnavailable):
        await keys.find("unknown")
    assert site.requests == 2
    assert "last fetch failed" in repr(keys)


async def test_without_any_key_it_is_tried_again_soon(keys: KeySet, site: IssuerSite, clock: VirtualClock) -> None:
    site.status = 500
    for _ in range(20):
        with pytest.raises(KeysUnavailable):
            await keys.find("k1")
    assert site.requests == 1
    site.status = 200
    clock.forward(RETRY_S)
    assert await keys.find("k1") == K1


async def test_a_server_that_is_not_there_is_an_outage(http: httpx.AsyncClient, clock: VirtualClock) -> None:
    with pytest.raises(KeysUnavailable):
        await KeySet("http://127.0.0.1:1/jwks.json", http, clock).find("k1")


async def test_a_server_that_never_answers_is_an_outage(http: httpx.AsyncClient, clock: VirtualClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/jwks.json"
        with pytest.raises(KeysUnavailable):
            await KeySet(url, http, clock, timeout_s=0.05).find("k1")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"keys": {}}',
        b'{"keys": []}',
        b'{"keys": [null, 7, {"kid": "k1"}]}',
        b'{"keys": ' + b"[" * 60_000,
        key_set([public_jwk("k1", rsa_key("k1"))]) + b" " * MAX_KEY_SET_BYTES,
        key_set([public_jwk("k1", rsa_key("short", 1024))]),
        key_set([public_jwk("k1", rsa_key("k1"), use="enc")]),
        key_set([public_jwk("k1", rsa_key("k1"), alg="RS512")]),
        key_set([{name: value for name, value in public_jwk("k1", rsa_key("k1")).items() if name != "use"}]),
        key_set([{name: value for name, value in public_jwk("k1", rsa_key("k1")).items() if name != "alg"}]),
        key_set([public_jwk("k1", rsa_key("k1"), kty="oct")]),
        key_set([public_jwk("k1", rsa_key("k1"), n="!!")]),
        key_set([public_jwk("k1", rsa_key("k1"), e="AQ")]),
        key_set([public_jwk("", rsa_key("k1"))]),
    ],
)
async def test_what_is_no_key_set_for_us_is_an_outage(
    keys: KeySet, site: IssuerSite, clock: VirtualClock, body: bytes
) -> None:
    good, site.body = site.body, body
    with pytest.raises(KeysUnavailable):
        await keys.find("k1")
    site.body = good
    clock.forward(RETRY_S)
    assert await keys.find("k1") == K1
    site.body = body
    clock.forward(LIFETIME_MS / 1_000)
    assert await keys.find("k1") == K1


async def test_a_compressed_answer_is_refused(keys: KeySet, site: IssuerSite) -> None:
    site.body, site.headers = gzip.compress(site.body), {"content-encoding": "gzip"}
    with pytest.raises(KeysUnavailable):
        await keys.find("k1")


async def test_a_redirect_is_not_followed(keys: KeySet, site: IssuerSite) -> None:
    site.status, site.headers = 302, {"location": site.url}
    with pytest.raises(KeysUnavailable):
        await keys.find("k1")
    assert site.requests == 1


async def test_good_keys_are_taken_from_among_bad_ones(keys: KeySet, site: IssuerSite) -> None:
    first, second = public_jwk("k1", rsa_key("k1")), public_jwk("k1", rsa_key("k2"))
    site.body = key_set([None, {"kty": "EC", "kid": "ec"}, public_jwk("enc", rsa_key("k2"), use="enc"), first, second])
    assert await keys.find("k1") == K1
    assert await keys.find("enc") is None


async def test_a_private_key_published_by_mistake_is_taken_as_public(keys: KeySet, site: IssuerSite) -> None:
    private = RSAAlgorithm.to_jwk(rsa_key("k1"), as_dict=True)
    site.body = msgspec.json.encode({"keys": [{**private, "kid": "k1", "use": "sig", "alg": "RS256"}]})
    assert await keys.find("k1") == K1


async def test_a_caller_that_gives_up_takes_nobody_with_it(keys: KeySet, site: IssuerSite) -> None:
    site.gate.clear()
    hasty, patient = asyncio.create_task(keys.find("k1")), asyncio.create_task(keys.find("k1"))
    await site.await_request()
    hasty.cancel()
    with pytest.raises(asyncio.CancelledError):
        await hasty
    site.gate.set()
    assert await patient == K1
    assert site.requests == 1


async def test_closing_stops_the_fetch_and_releases_who_waits(keys: KeySet, site: IssuerSite) -> None:
    site.gate.clear()
    waiting = asyncio.create_task(keys.find("k1"))
    await site.await_request()
    await keys.aclose()
    with pytest.raises(KeysUnavailable):
        await waiting
    with pytest.raises(KeysUnavailable):
        await keys.find("k1")
    assert site.requests == 1
    assert "closed" in repr(keys)
