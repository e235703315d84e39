"""Settings: the contract's table of variables, and sentences that name what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.config import PRODUCTION_NEEDS, ConfigurationError, Environment, Settings, read_settings

VALUES = {"MONGODB_URI": "mongodb://db", "CLERK_JWT_ISSUER_DOMAIN": "https://id.example/"}
PRODUCTION = {name: VALUES.get(name, "something") for name in PRODUCTION_NEEDS}


def settings(environment: Environment = "development", **env: str) -> Settings:
    return read_settings(env, default_environment=environment)


def test_nothing_needs_to_be_set_for_development() -> None:
    assert settings() == Settings(
        environment="development",
        host="127.0.0.1",
        port=8000,
        public_url="http://127.0.0.1:8000",
        data_dir=Path(".data"),
        allowed_origins=("*",),
        max_upload_bytes=20_971_520,
        generation_concurrency=4,
        generation_timeout_s=120.0,
        generation_lease_s=10.0,
        log_format="console",
        log_level="info",
    )
    assert settings().is_development


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    names = (
        "APP_ENV", "HOST", "PORT", "PUBLIC_URL", "DATA_DIR", "MONGODB_URI", "CLERK_JWT_ISSUER_DOMAIN", "ADMIN_USER_IDS",
        "ALLOWED_ORIGINS", "MAX_UPLOAD_BYTES", "GENERATION_CONCURRENCY", "GENERATION_TIMEOUT_S", "LOG_FORMAT", "LOG_LEVEL",
        "CLERK_WEBHOOK_SECRET", "CLERK_AUTHORIZED_PARTIES", "POLAR_ACCESS_TOKEN", "POLAR_PRODUCT_ID", "POLAR_WEBHOOK_SECRET",
        "POLAR_ENV", "POLAR_BASE_URL", "GENERATION_LEASE_S", "CLERK_PUBLISHABLE_KEY", "METRICS_PORT",
    )  # fmt: skip
    assert read_settings(dict.fromkeys(names, ""), default_environment="development") == settings()


def test_what_is_set_is_read() -> None:
    read = settings(
        HOST="0.0.0.0",
        PORT="9000",
        PUBLIC_URL="https://anime.example/",
        DATA_DIR="/somewhere",
        MONGODB_URI="mongodb://db",
        CLERK_JWT_ISSUER_DOMAIN="https://id.example/",
        CLERK_WEBHOOK_SECRET="whsec_clerk",
        CLERK_AUTHORIZED_PARTIES="https://app.example/, https://two.example",
        POLAR_ACCESS_TOKEN=" polar_oat_x ",
        POLAR_PRODUCT_ID="product",
        POLAR_WEBHOOK_SECRET="whsec_new, polar_whs_old,",
        POLAR_ENV="Production",
        ADMIN_USER_IDS="user_1, user_2,,",
        ALLOWED_ORIGINS=" https://one.example , https://two.example/ ",
        MAX_UPLOAD_BYTES="100000",
        GENERATION_CONCURRENCY="8",
        GENERATION_TIMEOUT_S="30",
        GENERATION_LEASE_S="20",
        LOG_FORMAT="JSON",
        LOG_LEVEL="Debug",
    )
    assert read == Settings(
        environment="development",
        host="0.0.0.0",
        port=9000,
        public_url="https://anime.example",
        data_dir=Path("/somewhere"),
        mongodb_uri="mongodb://db",
        clerk_issuer="https://id.example",
        clerk_webhook_secrets=("whsec_clerk",),
        authorized_parties=("https://app.example", "https://two.example"),
        polar_access_token="polar_oat_x",
        polar_product_id="product",
        polar_webhook_secrets=("whsec_new", "polar_whs_old"),
        polar_base_url="https://api.polar.sh",
        admin_user_ids=("user_1", "user_2"),
        allowed_origins=("https://one.example", "https://two.example"),
        max_upload_bytes=100_000,
        generation_concurrency=8,
        generation_timeout_s=30.0,
        generation_lease_s=20.0,
        log_format="json",
        log_level="debug",
    )


@pytest.mark.parametrize(
    ("host", "public", "local"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("::", "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("::1", "http://[::1]:8000", "http://[::1]:8000"),
        ("anime.local", "http://anime.local:8000", "http://anime.local:8000"),
    ],
)
def test_addresses_are_ones_that_a_browser_can_open(host: str, public: str, local: str) -> None:
    read = settings(HOST=host)
    assert (read.public_url, read.local_url) == (public, local)


def test_a_public_address_does_not_change_how_the_process_reaches_itself() -> None:
    assert settings(PUBLIC_URL="https://anime.example").local_url == "http://127.0.0.1:8000"


def test_polars_world_follows_the_environment_unless_it_is_named() -> None:
    sandbox, real = "https://sandbox-api.polar.sh", "https://api.polar.sh"
    assert settings().polar_base_url == sandbox
    assert settings("production", **PRODUCTION).polar_base_url == real
    assert settings("production", **PRODUCTION, POLAR_ENV="sandbox").polar_base_url == sandbox
    assert settings(POLAR_ENV="production", POLAR_BASE_URL="http://127.0.0.1:9/").polar_base_url == "http://127.0.0.1:9"


def test_a_list_of_secrets_without_any_is_none() -> None:
    read = settings(POLAR_WEBHOOK_SECRET=" , ,", CLERK_WEBHOOK_SECRET=",")
    assert (read.polar_webhook_secrets, read.clerk_webhook_secrets) == ((), ())


def test_production_is_stricter() -> None:
    read = settings("production", **PRODUCTION, PUBLIC_URL="https://anime.example")
    assert not read.is_development
    assert (read.log_format, read.allowed_origins) == ("json", ("https://anime.example",))
    assert settings("development", **PRODUCTION, APP_ENV="production") == settings("production", **PRODUCTION)


def test_the_page_signs_in_with_clerk_only_where_clerks_tokens_count() -> None:
    key = "pk_live_Y2xlcmsuZXhhbXBsZS5jb20k"
    read = settings(CLERK_PUBLISHABLE_KEY=f" {key} ", CLERK_JWT_ISSUER_DOMAIN="https://clerk.example.com")
    assert (read.clerk_publishable_key, read.clerk_domain) == (key, "clerk.example.com")
    assert settings().clerk_domain is None
    with pytest.raises(ConfigurationError, match="CLERK_JWT_ISSUER_DOMAIN is not"):
        settings(CLERK_PUBLISHABLE_KEY=key)


@pytest.mark.parametrize("missing", PRODUCTION)
def test_what_production_lacks_is_named(missing: str) -> None:
    present = {name: value for name, value in PRODUCTION.items() if name != missing}
    for env in (present, {**present, missing: ""}):
        with pytest.raises(ConfigurationError, match=missing) as error:
            settings("production", **env)
        assert not any(name in str(error.value) for name in present)
    with pytest.raises(ConfigurationError, match=f"{', '.join(PRODUCTION_NEEDS)} must be set"):
        settings("production")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("PORT", value) for value in ("0", "65536", "-1", "80.5", "http", "0x50", "\u00b2", "9" * 5_000)],
        ("MAX_UPLOAD_BYTES", "20 MB"),
        ("MAX_UPLOAD_BYTES", "1"),
        ("GENERATION_CONCURRENCY", "0"),
        ("GENERATION_TIMEOUT_S", "forever"),
        ("GENERATION_LEASE_S", "0"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("APP_ENV", "staging"),
        ("POLAR_ENV", "test"),
        ("POLAR_BASE_URL", "api.polar.sh"),
        ("PUBLIC_URL", "anime.example"),
        ("PUBLIC_URL", "javascript:alert(1)"),
        ("CLERK_PUBLISHABLE_KEY", "sk_test_c2VjcmV0"),
    ],
)
def test_a_wrong_value_is_named_with_what_it_must_be(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"{name} is .*; it must b"):
        read_settings({name: value}, default_environment="development")
