"""The gate lets in whom the issuer vouches for, and refuses every other text with a sentence of ours."""

from __future__ import annotations

import jwt
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jwt.utils import base64url_encode

from schema.values import seconds
from server.auth.clerk import LEEWAY_S, MAX_TOKEN_CHARS, TokenVerifier
from server.auth.errors import KeysUnavailable, TokenRefused
from server.auth.identity import Identity, VerifiedToken
from server.auth.keys import KeySet
from tests.unit.server.auth.issuer_site import ISSUER, NOW, IssuerSite, claims_of, public_pem, rsa_key, signed

AT = int(NOW // 1_000)
ANA = Identity(subject="user_ana", issuer=ISSUER)


@pytest.fixture
def verifier(keys: KeySet) -> TokenVerifier:
    """The gate of the running issuer."""
    return TokenVerifier(ISSUER, keys)


def by_hand(header: object, claims: object, signature: bytes = b"") -> str:
    """A token whose parts are ours to choose."""
    return dotted([msgspec.json.encode(header), msgspec.json.encode(claims), signature])


def dotted(parts: list[bytes]) -> str:
    """These parts in the shape of a token."""
    return b".".join(base64url_encode(part) for part in parts).decode()


def hs256_with_public_key() -> str:
    """The classic confusion: an HMAC whose secret is the public key."""
    header = {"alg": "HS256", "typ": "JWT", "kid": "k1"}
    unsigned = by_hand(header, claims_of()).rsplit(".", 1)[0]
    hmac_sha256 = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signature = hmac_sha256.sign(unsigned.encode(), public_pem(rsa_key("k1")))
    return f"{unsigned}.{base64url_encode(signature).decode()}"


REFUSED: dict[str, tuple[str, str]] = {
    "expired": (signed(claims_of(exp=AT - 5)), "expired"),
    "long expired": (signed(claims_of(exp=1)), "expired"),
    "not yet valid": (signed(claims_of(nbf=AT + 6)), "not valid yet"),
    "issued in the future": (signed(claims_of(iat=AT + 6)), "not valid yet"),
    "another issuer": (signed(claims_of(iss="https://evil.test")), "another issuer"),
    "an issuer that begins like ours": (signed(claims_of(iss=f"{ISSUER}.evil.test")), "another issuer"),
    "two slashes": (signed(claims_of(iss=f"{ISSUER}//")), "another issuer"),
    "issuer list": (signed(claims_of(iss=[ISSUER])), "another issuer"),
    "another audience": (signed(claims_of(aud="other")), "another application"),
    "audience list without ours": (signed(claims_of(aud=["a", "b"])), "another application"),
    "audience object": (signed(claims_of(aud={"convex": True})), "another application"),
    "audience that contains ours": (signed(claims_of(aud="convex2")), "another application"),
    "no audience": (signed(claims_of(aud=...)), "lacks the claim aud"),
    "empty audience": (signed(claims_of(aud=[])), "lacks the claim aud"),
    "no issuer": (signed(claims_of(iss=...)), "lacks the claim iss"),
    "no subject": (signed(claims_of(sub=...)), "lacks the claim sub"),
    "no expiry": (signed(claims_of(exp=...)), "lacks the claim exp"),
    "no issue time": (signed(claims_of(iat=...)), "lacks the claim iat"),
    "null expiry": (signed(claims_of(exp=None)), "lacks the claim exp"),
    "text expiry": (signed(claims_of(exp=str(AT + 60))), "exp is not a time"),
    "true expiry": (signed(claims_of(exp=True)), "exp is not a time"),
    "negative expiry": (signed(claims_of(exp=-1)), "exp is not a time"),
    "endless expiry": (signed(claims_of(exp=2**63)), "exp is not a time"),
    "list not-before": (signed(claims_of(nbf=[AT])), "nbf is not a time"),
    "object issue time": (signed(claims_of(iat={})), "iat is not a time"),
    "number subject": (signed(claims_of(sub=7)), "subject must be a text"),
    "list subject": (signed(claims_of(sub=["user_ana"])), "subject must be a text"),
    "empty subject": (signed(claims_of(sub="")), "subject is empty"),
    "long subject": (signed(claims_of(sub="x" * 256)), "subject is empty, too long"),
    "unprintable subject": (signed(claims_of(sub="user\x00ana")), "not printable"),
    "pending session": (signed(claims_of(sts="pending")), "not complete"),
    "unknown kid": (signed(claims_of(), "k9"), "does not publish"),
    "no kid": (signed(claims_of(), None), "does not name the key"),
    "empty kid": (signed(claims_of(), ""), "does not name the key"),
    "long kid": (signed(claims_of(), "k" * 257), "does not name the key"),
    "number kid": (by_hand({"alg": "RS256", "kid": 1}, claims_of()), "not a token"),
    "another key under our kid": (signed(claims_of(), "k1", rsa_key("k2")), "signature is wrong"),
    "alg none": (by_hand({"alg": "none", "kid": "k1"}, claims_of()), "RS256"),
    "alg nOnE": (by_hand({"alg": "nOnE", "kid": "k1"}, claims_of()), "RS256"),
    "alg list": (by_hand({"alg": ["RS256"], "kid": "k1"}, claims_of()), "RS256"),
    "no alg": (by_hand({"kid": "k1"}, claims_of()), "RS256"),
    "RS256 without signature": (by_hand({"alg": "RS256", "kid": "k1"}, claims_of()), "signature is wrong"),
    "RS512": (jwt.encode(claims_of(), rsa_key("k1"), "RS512", {"kid": "k1"}), "RS256"),
    "PS256": (jwt.encode(claims_of(), rsa_key("k1"), "PS256", {"kid": "k1"}), "RS256"),
    "HS256 with the public key": (hs256_with_public_key(), "RS256"),
    "critical extension": (by_hand({"alg": "RS256", "kid": "k1", "crit": ["x"], "x": 1}, claims_of()), "not a token"),
    "header is a list": (by_hand([], claims_of()), "not a token"),
    "claims are a list": (jwt.api_jws.encode(b"[]", rsa_key("k1"), "RS256", {"kid": "k1"}), "not a token"),
    "claims are no JSON": (jwt.api_jws.encode(b"\xff", rsa_key("k1"), "RS256", {"kid": "k1"}), "not a token"),
    "deep claims": (jwt.api_jws.encode(b"[" * 9_000, rsa_key("k1"), "RS256", {"kid": "k1"}), "not a token"),
    "empty": ("", "not a token"),
    "garbage": ("garbage", "not a token"),
    "dots": ("..", "not a token"),
    "not ASCII": ("ä.ö.ü", "not a token"),
    "lone surrogate": ("\ud800.a.b", "not a token"),
    "huge": ("a" * (MAX_TOKEN_CHARS + 1), "too long"),
    "huge but signed": (signed(claims_of(filler="x" * MAX_TOKEN_CHARS)), "too long"),
}


@pytest.mark.parametrize(("token", "sentence"), REFUSED.values(), ids=REFUSED.keys())
async def test_refused(verifier: TokenVerifier, token: str, sentence: str) -> None:
    with pytest.raises(TokenRefused) as refusal:
        await verifier.verify(token, NOW)
    assert sentence in refusal.value.reason
    assert (refusal.value.code, refusal.value.retryable) == ("UNAUTHENTICATED", False)


ACCEPTED: dict[str, str] = {
    "plain": signed(claims_of()),
    "audience list with ours": signed(claims_of(aud=["other", "convex"])),
    "issuer with a slash": signed(claims_of(iss=f"{ISSUER}/")),
    "no not-before": signed(claims_of(nbf=...)),
    "no session state": signed(claims_of(sts=...)),
    "not-before within the leeway": signed(claims_of(nbf=AT + 5)),
    "issued within the leeway": signed(claims_of(iat=AT + 5)),
    "fractional times": signed(claims_of(iat=AT + 0.25)),
    "unusable extras": signed(claims_of(name="", email=7, picture=[])),
}


@pytest.mark.parametrize("token", ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_accepted(verifier: TokenVerifier, token: str) -> None:
    assert await verifier.verify(token, NOW) == VerifiedToken(ANA, seconds(AT + 60 + LEEWAY_S))


async def test_a_token_is_good_exactly_until_it_expires(verifier: TokenVerifier) -> None:
    token = signed(claims_of())
    expires_at = (await verifier.verify(token, NOW)).expires_at
    assert (await verifier.verify(token, expires_at - 1)).expires_at == expires_at
    with pytest.raises(TokenRefused, match="expired"):
        await verifier.verify(token, expires_at)


async def test_name_and_address_come_along(verifier: TokenVerifier) -> None:
    token = signed(claims_of(name="Ana Núñez", email="ana@example.com", email_verified=True))
    identity = (await verifier.verify(token, NOW)).identity
    assert identity == Identity(subject="user_ana", issuer=ISSUER, name="Ana Núñez", email="ana@example.com")


async def test_an_unconfirmed_address_is_left_out(verifier: TokenVerifier) -> None:
    token = signed(claims_of(email="boss@example.com", email_verified=False))
    assert (await verifier.verify(token, NOW)).identity == ANA


@pytest.mark.parametrize(
    "name", [b'"\\ud800"', b'"a\\u0000b"', b'"' + b"x" * 513 + b'"'], ids=["surrogate", "control", "long"]
)
async def test_a_name_that_cannot_be_stored_is_left_out(verifier: TokenVerifier, name: bytes) -> None:
    claims = msgspec.json.encode({**claims_of(), "name": msgspec.Raw(name)})
    token = jwt.api_jws.encode(claims, rsa_key("k1"), "RS256", {"kid": "k1"})
    assert (await verifier.verify(token, NOW)).identity == ANA


@pytest.mark.parametrize(
    ("actor", "operator"), [({"sub": "user_op"}, "user_op"), ({}, "unknown"), ("x", "unknown"), (False, "unknown")]
)
async def test_an_impersonated_person_is_told_from_the_person(
    verifier: TokenVerifier, actor: object, operator: str
) -> None:
    identity = (await verifier.verify(signed(claims_of(act=actor)), NOW)).identity
    assert identity.impersonated_by == operator
    assert identity != ANA


async def test_with_an_allowlist_the_party_must_be_named_and_on_it(keys: KeySet) -> None:
    strict = TokenVerifier(ISSUER, keys, authorized_parties=["https://app.test"])
    assert (await strict.verify(signed(claims_of(azp="https://app.test")), NOW)).identity == ANA
    for party in ("https://evil.test", "", ..., ["https://app.test"]):
        with pytest.raises(TokenRefused, match="another site"):
            await strict.verify(signed(claims_of(azp=party)), NOW)


async def test_a_slash_in_our_own_setting_changes_nothing(keys: KeySet) -> None:
    token = await TokenVerifier(f"{ISSUER}/", keys).verify(signed(claims_of()), NOW)
    assert token.identity == ANA


@pytest.mark.parametrize(("issuer", "audience"), [("", "convex"), ("/", "convex"), (ISSUER, "")])
def test_nothing_is_verified_against_nothing(keys: KeySet, issuer: str, audience: str) -> None:
    with pytest.raises(ValueError, match="needs an issuer"):
        TokenVerifier(issuer, keys, audience)


async def test_an_outage_blames_nobody_s_token(verifier: TokenVerifier, site: IssuerSite) -> None:
    site.status = 503
    with pytest.raises(KeysUnavailable) as outage:
        await verifier.verify(signed(claims_of()), NOW)
    assert outage.value.retryable


async def test_known_people_stay_welcome_in_an_outage(verifier: TokenVerifier, site: IssuerSite) -> None:
    await verifier.verify(signed(claims_of()), NOW)
    site.status = 503
    assert (await verifier.verify(signed(claims_of()), NOW)).identity == ANA


async def test_what_cannot_be_good_asks_the_issuer_nothing(verifier: TokenVerifier, site: IssuerSite) -> None:
    for token, _ in (REFUSED[name] for name in ("alg none", "HS256 with the public key", "garbage", "huge", "no kid")):
        with pytest.raises(TokenRefused):
            await verifier.verify(token, NOW)
    assert site.requests == 0


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(min_value=0), character=st.characters(max_codepoint=0x17F))
async def test_no_character_of_a_token_can_be_changed(verifier: TokenVerifier, at: int, character: str) -> None:
    token = ACCEPTED["plain"]
    at %= len(token)
    changed = token[:at] + character + token[at + 1 :]
    if changed != token:
        with pytest.raises(TokenRefused):
            await verifier.verify(changed, NOW)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text() | st.lists(st.binary(max_size=64), max_size=4).map(dotted))
async def test_any_text_is_refused_and_nothing_else_happens(verifier: TokenVerifier, text: str) -> None:
    with pytest.raises(TokenRefused):
        await verifier.verify(text, NOW)
