"""Settings from the environment: typed, checked at start, and named when missing (contract section 1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from server.limits.bounds import Bounds, read_bounds
from server.web.policy import clerk_domain_of

Environment = Literal["development", "production"]
LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]
PolarWorld = Literal["sandbox", "production"]
L = TypeVar("L", bound=str)

ENVIRONMENTS: tuple[Environment, ...] = ("development", "production")
LOG_FORMATS: tuple[LogFormat, ...] = ("console", "json")
POLAR_WORLDS: tuple[PolarWorld, ...] = ("sandbox", "production")
LOG_LEVELS: tuple[LogLevel, ...] = ("debug", "info", "warning", "error")

MAX_DIGITS = 20
REDIS_URL = re.compile(r"rediss?://(?:[^@/\s]*@)?(?:[^:@/?#\s\[\]]+|\[[0-9a-fA-F:]+\])(?::\d{1,5})?(?:/\d*)?(?:\?\S*)?")
MAX_BOUND = 1_000_000
LOOPBACK = "127.0.0.1,::1"
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  # recognised, not bound to
PRODUCTION_NEEDS = (
    "MONGODB_URI",
    "CLERK_JWT_ISSUER_DOMAIN",
    "CLERK_WEBHOOK_SECRET",
    "GEMINI_API_KEY",
    "POLAR_ACCESS_TOKEN",
    "POLAR_PRODUCT_ID",
    "POLAR_WEBHOOK_SECRET",
)
POLAR_ADDRESSES = {"production": "https://api.polar.sh", "sandbox": "https://sandbox-api.polar.sh"}
GEMINI_MODEL = "gemini-3.1-flash-lite-image"
"""Models are retired within months; this is the only place that names one."""


class ConfigurationError(Exception):
    """A variable is missing or wrong; the message names it and says what to do."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set from outside."""

    environment: Environment
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str
    data_dir: Path
    mongodb_uri: str | None = None
    redis_url: str | None = None
    clerk_issuer: str | None = None
    clerk_publishable_key: str | None = None
    clerk_webhook_secrets: tuple[str, ...] = ()
    authorized_parties: tuple[str, ...] = ()
    polar_access_token: str | None = None
    polar_product_id: str | None = None
    polar_webhook_secrets: tuple[str, ...] = ()
    polar_base_url: str = POLAR_ADDRESSES["sandbox"]
    admin_user_ids: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    max_upload_bytes: int = 20_971_520
    bounds: Bounds = Bounds()
    forwarded_allow_ips: str = LOOPBACK
    gemini_api_key: str | None = None
    gemini_model: str = GEMINI_MODEL
    gemini_base_url: str | None = None
    generation_concurrency: int = 4
    generation_timeout_s: float = 120.0
    generation_lease_s: float = 10.0
    socket_ping_s: int = 60
    drain_s: float = 0.0
    metrics_port: int | None = None
    trace_endpoint: str | None = None
    trace_service: str = "anime-leak"
    log_format: LogFormat = "console"
    log_level: LogLevel = "info"

    @property
    def local_url(self) -> str:
        """Where this process reaches itself."""
        return f"http://{_name(self.host)}:{self.port}"

    @property
    def clerk_domain(self) -> str | None:
        """Where Clerk's part of the page comes from and calls; None where nobody signs in with Clerk."""
        return None if self.clerk_publishable_key is None else clerk_domain_of(self.clerk_publishable_key)

    @property
    def is_development(self) -> bool:
        """Do the conveniences of contract section 6 exist?"""
        return self.environment == "development"


def read_settings(env: Mapping[str, str], *, default_environment: Environment) -> Settings:
    """The settings that these variables give. Raises `ConfigurationError`."""
    environment = _choice(env, "APP_ENV", default_environment, ENVIRONMENTS)
    if environment == "production":
        missing = [name for name in PRODUCTION_NEEDS if not env.get(name)]
        if missing:
            raise ConfigurationError(f"{', '.join(missing)} must be set in production. See the table in README.md.")
    host, port = env.get("HOST") or "127.0.0.1", _integer(env, "PORT", 8000, 1, 65_535)
    public_url = (env.get("PUBLIC_URL") or f"http://{_name(host)}:{port}").rstrip("/")
    if not public_url.startswith(("http://", "https://")):
        raise ConfigurationError(f"PUBLIC_URL is {public_url!r}; it must begin with http:// or https://.")
    world = _choice(env, "POLAR_ENV", "production" if environment == "production" else "sandbox", POLAR_WORLDS)
    log_format = _choice(env, "LOG_FORMAT", "console" if environment == "development" else "json", LOG_FORMATS)
    log_level = _choice(env, "LOG_LEVEL", "info", LOG_LEVELS)
    origins = tuple(origin.rstrip("/") for origin in _words(env.get("ALLOWED_ORIGINS", "")))
    return Settings(
        environment=environment,
        host=host,
        port=port,
        public_url=public_url,
        data_dir=Path(env.get("DATA_DIR") or ".data"),
        mongodb_uri=env.get("MONGODB_URI") or None,
        clerk_issuer=(env.get("CLERK_JWT_ISSUER_DOMAIN") or "").rstrip("/") or None,
        redis_url=_redis(env),
        clerk_publishable_key=_clerk_key(env),
        clerk_webhook_secrets=_words(env.get("CLERK_WEBHOOK_SECRET", "")),
        authorized_parties=tuple(party.rstrip("/") for party in _words(env.get("CLERK_AUTHORIZED_PARTIES", ""))),
        polar_access_token=env.get("POLAR_ACCESS_TOKEN", "").strip() or None,
        polar_product_id=env.get("POLAR_PRODUCT_ID", "").strip() or None,
        polar_webhook_secrets=_words(env.get("POLAR_WEBHOOK_SECRET", "")),
        polar_base_url=(_address(env, "POLAR_BASE_URL") or POLAR_ADDRESSES[world]).rstrip("/"),
        admin_user_ids=_words(env.get("ADMIN_USER_IDS", "")),
        allowed_origins=origins or (("*",) if environment == "development" else (public_url,)),
        max_upload_bytes=_integer(env, "MAX_UPLOAD_BYTES", 20_971_520, 1_024, 1 << 30),
        bounds=read_bounds(
            lambda name, default: _integer(env, name, default, 0, MAX_BOUND), production=environment == "production"
        ),
        forwarded_allow_ips=env.get("FORWARDED_ALLOW_IPS", "").strip() or LOOPBACK,
        gemini_api_key=env.get("GEMINI_API_KEY", "").strip() or None,
        gemini_model=env.get("GEMINI_MODEL", "").strip() or GEMINI_MODEL,
        gemini_base_url=_address(env, "GEMINI_BASE_URL"),
        generation_concurrency=_integer(env, "GENERATION_CONCURRENCY", 4, 1, 64),
        trace_endpoint=_address(env, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        trace_service=env.get("OTEL_SERVICE_NAME", "").strip() or "anime-leak",
        metrics_port=_integer(env, "METRICS_PORT", 0, 0, 65_535) or None,
        socket_ping_s=_integer(env, "SOCKET_PING_S", 60, 1, 3_600),
        drain_s=float(_integer(env, "DRAIN_S", 10 if environment == "production" else 0, 0, 3_600)),
        generation_timeout_s=float(_integer(env, "GENERATION_TIMEOUT_S", 120, 1, 3_600)),
        generation_lease_s=float(_integer(env, "GENERATION_LEASE_S", 10, 1, 3_600)),
        log_format=log_format,
        log_level=log_level,
    )


def _choice(env: Mapping[str, str], name: str, default: L, choices: tuple[L, ...]) -> L:
    text = (env.get(name) or default).lower()
    for choice in choices:
        if choice == text:
            return choice
    raise ConfigurationError(f"{name} is {text!r}; it must be {' or '.join(choices)}.")


def _address(env: Mapping[str, str], name: str) -> str | None:
    text = env.get(name, "").strip()
    if text and not text.startswith(("http://", "https://")):
        raise ConfigurationError(f"{name} is {text!r}; it must begin with http:// or https://.")
    return text or None


def _redis(env: Mapping[str, str]) -> str | None:
    text = env.get("REDIS_URL", "").strip()
    if text and REDIS_URL.fullmatch(text) is None:
        raise ConfigurationError("REDIS_URL is not usable; it must be of the form redis://host:6379/0, or rediss://.")
    return text or None


def _clerk_key(env: Mapping[str, str]) -> str | None:
    text = env.get("CLERK_PUBLISHABLE_KEY", "").strip()
    if not text:
        return None
    if clerk_domain_of(text) is None:
        raise ConfigurationError(
            "CLERK_PUBLISHABLE_KEY is no publishable key; it must be the one that begins with pk_ among Clerk's API keys."
        )
    if not env.get("CLERK_JWT_ISSUER_DOMAIN"):
        raise ConfigurationError(
            "CLERK_PUBLISHABLE_KEY is set and CLERK_JWT_ISSUER_DOMAIN is not: people would sign in with tokens that do not count."
        )
    return text


def _integer(env: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = env.get(name) or str(default)
    if not text.strip().isdecimal() or len(text) > MAX_DIGITS or not low <= int(text) <= high:
        raise ConfigurationError(f"{name} is {text!r}; it must be a whole number from {low} to {high}.")
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _name(host: str) -> str:
    """The host as it stands in a URL that a browser on this machine can open."""
    return "127.0.0.1" if host in EVERYWHERE else f"[{host}]" if ":" in host else host
