"""What the page may load: only ours; with Clerk, Clerk's too, and nobody else's."""

from __future__ import annotations

import base64

import pytest

from server.web.policy import clerk_domain_of, policy_for, policy_with_style

DOMAIN = "clever-fox-1.clerk.accounts.dev"


def key_for(text: str, kind: str = "test") -> str:
    return f"pk_{kind}_{base64.b64encode(text.encode()).decode().rstrip('=')}"


def directives(policy: str) -> dict[str, list[str]]:
    return {name: sources for name, *sources in (each.split() for each in policy.split("; "))}


def test_without_clerk_only_what_is_ours_runs() -> None:
    allowed = directives(policy_for("https://anime.example", None))
    assert allowed["default-src"] == ["'none'"]
    assert allowed["script-src"] == allowed["style-src"] == ["'self'"]
    assert allowed["connect-src"] == ["'self'", "https://anime.example", "wss://anime.example"]
    assert directives(policy_for("http://127.0.0.1:8000", None))["connect-src"][-1] == "ws://127.0.0.1:8000"
    assert not {"frame-src", "worker-src", "object-src"} & set(allowed)
    assert allowed["frame-ancestors"] == allowed["base-uri"] == ["'none'"]


def test_with_clerk_its_own_addresses_are_added() -> None:
    allowed = directives(policy_for("https://anime.example", DOMAIN))
    for directive in ("script-src", "connect-src"):
        assert f"https://{DOMAIN}" in allowed[directive]
    assert "'unsafe-inline'" not in allowed["script-src"]
    assert "'unsafe-eval'" not in allowed["script-src"]
    without = directives(policy_for("https://anime.example", None))
    for directive, sources in without.items():
        assert allowed[directive][: len(sources)] == sources


def test_a_notice_may_use_its_own_style_and_nothing_else() -> None:
    one, other = policy_with_style("a{}"), policy_with_style("b{}")
    assert one != other
    assert directives(one)["default-src"] == ["'none'"]
    assert "unsafe" not in one


@pytest.mark.parametrize("kind", ["test", "live"])
def test_the_domain_is_in_the_key(kind: str) -> None:
    assert clerk_domain_of(key_for(f"{DOMAIN}$", kind)) == DOMAIN


@pytest.mark.parametrize(
    "key",
    [
        "", "pk_test_", "sk_test_" + key_for(f"{DOMAIN}$")[8:], key_for(DOMAIN), key_for("evil.example; script-src *$"),
        key_for("localhost$"), key_for("$"), "pk_test_!!", "pk_test_x", key_for("\u00e4.example$"), key_for(f"{DOMAIN}$") + "\n",
    ],
)  # fmt: skip
def test_what_is_no_key_adds_nothing(key: str) -> None:
    assert clerk_domain_of(key) is None
