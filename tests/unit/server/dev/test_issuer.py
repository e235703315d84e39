"""The development issuer: its tokens pass the real gate, its key stays, and its door refuses nonsense politely."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import msgspec
import pytest
from starlette.applications import Starlette

from schema.values import seconds
from server.auth.clerk import LEEWAY_S, TokenVerifier
from server.auth.errors import TokenRefused
from server.auth.identity import Identity, VerifiedToken
from server.auth.keys import KeySet
from server.dev.issuer import KEY_FILE, MAX_BODY_BYTES, DevIssuer, dev_routes
from tests.support.http import http_client
from tests.unit.server.auth.issuer_site import NOW, serving

ISSUER = "http://127.0.0.1:8000/dev"


class DevSite:
    """The development issuer over HTTP, and whom it made an admin in this test."""

    def __init__(self, issuer: DevIssuer) -> None:
        self.issuer = issuer
        self.admins: list[str] = []
        self.app = Starlette(routes=dev_routes(issuer, lambda: NOW, self.make_admin))
        self.url = ""

    async def make_admin(self, subject: str) -> None:
        """Remember who was made an admin."""
        self.admins.append(subject)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> DevIssuer:
    """An issuer with a key made for these tests."""
    return DevIssuer.open(f"{ISSUER}/", tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A real HTTP client."""
    async with http_client() as client:
        yield client


@pytest.fixture(scope="module")
async def open_site(issuer: DevIssuer) -> AsyncIterator[DevSite]:
    """The issuer, running for all these tests."""
    running = DevSite(issuer)
    async with serving(running.app) as url:
        running.url = url
        yield running


@pytest.fixture
def site(open_site: DevSite) -> DevSite:
    """The issuer, which has made nobody an admin yet."""
    open_site.admins.clear()
    return open_site


@pytest.fixture
async def verifier(site: DevSite, http: httpx.AsyncClient) -> AsyncIterator[TokenVerifier]:
    """The production gate, fetching its keys from the running issuer."""
    keys = KeySet(f"{site.url}/dev/.well-known/jwks.json", http, lambda: NOW)
    yield TokenVerifier(ISSUER, keys)
    await keys.aclose()


async def test_its_tokens_pass_the_real_gate(site: DevSite, http: httpx.AsyncClient, verifier: TokenVerifier) -> None:
    answer = await http.post(f"{site.url}/dev/token", json={"subject": "alice", "admin": False})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    verified = await verifier.verify(answer.json()["token"], NOW)
    alice = Identity(subject="alice", issuer=ISSUER, name="alice")
    assert verified == VerifiedToken(alice, seconds(NOW // 1_000 + 3_600 + LEEWAY_S))
    assert site.admins == []


async def test_its_tokens_end(site: DevSite, issuer: DevIssuer, verifier: TokenVerifier) -> None:
    token = issuer.token("alice", now=NOW, lifetime_s=60)
    with pytest.raises(TokenRefused, match="expired"):
        await verifier.verify(token, NOW + seconds(66))


async def test_another_installation_s_tokens_do_not_pass(verifier: TokenVerifier, tmp_path: Path) -> None:
    with pytest.raises(TokenRefused, match="does not publish"):
        await verifier.verify(DevIssuer.open(ISSUER, tmp_path).token("alice", now=NOW), NOW)


def test_two_tokens_always_differ(issuer: DevIssuer) -> None:
    assert issuer.token("alice", now=NOW) != issuer.token("alice", now=NOW)


async def test_an_admin_is_made_before_the_token_is_handed_out(site: DevSite, http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{site.url}/dev/token", json={"subject": "root", "admin": True})
    assert answer.status_code == 200
    assert site.admins == ["root"]


async def test_admin_may_be_left_out(site: DevSite, http: httpx.AsyncClient) -> None:
    answer = await http.post(f"{site.url}/dev/token", json={"subject": "Ana Núñez"})
    assert answer.status_code == 200
    assert site.admins == []


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "JSON object"),
        (b"{", "JSON object"),
        (b"[]", "JSON object"),
        (b"\xff", "JSON object"),
        (b'{"subject": "\xff"}', "JSON object"),
        (b"[" * MAX_BODY_BYTES, "JSON object"),
        (b"{}", "subject must be"),
        (b'{"subject": ""}', "subject must be"),
        (b'{"subject": 7}', "subject must be"),
        (b'{"subject": null}', "subject must be"),
        (b'{"subject": " "}', "subject must be"),
        (b'{"subject": "a\\nb"}', "subject must be"),
        (b'{"subject": "\\ud800"}', "subject must be|JSON object"),
        (b'{"subject": "' + b"x" * 129 + b'"}', "subject must be"),
        (b'{"subject": "alice", "admin": "yes"}', "admin must be"),
        (b'{"subject": "alice", "admin": 1}', "admin must be"),
        (b'{"subject": "alice", "admin": null}', "admin must be"),
        (b" " * (MAX_BODY_BYTES + 1), "too large"),
    ],
)
async def test_nonsense_is_refused_with_a_reason(
    site: DevSite, http: httpx.AsyncClient, body: bytes, sentence: str
) -> None:
    answer = await http.post(f"{site.url}/dev/token", content=body)
    problem = msgspec.json.decode(answer.content, type=dict[str, str])
    assert (answer.status_code, problem["code"], set(problem)) == (400, "VALIDATION", {"code", "message"})
    assert any(each in problem["message"] for each in sentence.split("|"))
    assert site.admins == []


async def test_the_longest_subject_passes_the_gate(
    site: DevSite, http: httpx.AsyncClient, verifier: TokenVerifier
) -> None:
    subject = "漢" * 128
    answer = await http.post(f"{site.url}/dev/token", json={"subject": subject})
    assert (await verifier.verify(answer.json()["token"], NOW)).identity.subject == subject


async def test_discovery_leads_to_the_keys(site: DevSite, http: httpx.AsyncClient, issuer: DevIssuer) -> None:
    found = (await http.get(f"{site.url}/dev/.well-known/openid-configuration")).json()
    assert found["issuer"] == ISSUER
    assert found["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"
    served = (await http.get(f"{site.url}/dev/.well-known/jwks.json")).json()
    assert served == issuer.jwks()
    assert set(served["keys"][0]) == {"kty", "use", "alg", "kid", "n", "e"}, "nothing private"


def test_the_key_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    kept_in = tmp_path / "new" / "data"
    first = DevIssuer.open(ISSUER, kept_in)
    assert DevIssuer.open(ISSUER, kept_in).jwks() == first.jwks()
    assert [each.name for each in kept_in.iterdir()] == [KEY_FILE]
    assert stat.S_IMODE((kept_in / KEY_FILE).stat().st_mode) == 0o600


def test_a_key_others_could_read_is_closed_again(tmp_path: Path) -> None:
    DevIssuer.open(ISSUER, tmp_path)
    (tmp_path / KEY_FILE).chmod(0o644)
    DevIssuer.open(ISSUER, tmp_path)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_whoever_starts_together_shares_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as starters:
        opened = list(starters.map(lambda _: DevIssuer.open(ISSUER, tmp_path), range(4)))
    assert len({repr(each) for each in opened}) == 1
    assert [each.name for each in tmp_path.iterdir()] == [KEY_FILE]


@pytest.mark.parametrize("content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----"])
def test_a_broken_key_file_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    (tmp_path / KEY_FILE).write_bytes(content)
    with pytest.raises(ValueError, match="delete it"):
        DevIssuer.open(ISSUER, tmp_path)
    assert (tmp_path / KEY_FILE).read_bytes() == content
