"""A certificate that has expired: who runs this is told which one, and by which variable it was reached."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from server.config import ConfigurationError, Settings, read_settings
from server.doctor.gemini import check_gemini
from server.doctor.issuer import check_issuer
from server.doctor.polar import check_polar
from server.doctor.verdict import Verdict
from server.store import connection
from server.trust import trust
from tests.support.certificates import Authority, showing

EXPIRED, IN_TIME = -1, 30


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """An authority that this process trusts for the length of a test."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    trust.cache_clear()
    yield made
    trust.cache_clear()


@pytest.mark.parametrize(
    ("days_left", "says"),
    [(EXPIRED, "shows a certificate that does not count here: certificate has expired."), (IN_TIME, "does not answer")],
    ids=["expired", "in time"],
)
async def test_a_database_whose_certificate_has_expired_is_told_from_one_that_is_away(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, days_left: int, says: str
) -> None:
    monkeypatch.setattr(connection, "SELECTION_TIMEOUT_MS", 700)
    async with showing(authority.issue(days_left)) as port:
        address = f"mongodb://localhost:{port}/?tls=true&tlsCAFile={authority.file}&directConnection=true"
        with pytest.raises(ConfigurationError, match="The database at MONGODB_URI") as refused:
            async with connection.connect(address):
                pass
    assert says in str(refused.value)
    assert "_ssl" not in str(refused.value)


@pytest.mark.parametrize(
    ("check", "variables", "says"),
    [
        (check_gemini, {"GEMINI_API_KEY": "x", "GEMINI_BASE_URL": "https://{}"}, ("GEMINI_BASE_URL", "has expired")),
        (check_issuer, {"CLERK_JWT_ISSUER_DOMAIN": "https://{}"}, ("CLERK_JWT_ISSUER_DOMAIN", "nobody can sign in")),
        (
            check_polar,
            {"POLAR_ACCESS_TOKEN": "x", "POLAR_BASE_URL": "https://{}"},
            ("Polar gave no usable answer", "reach it"),
        ),
    ],
    ids=["Gemini", "Clerk", "Polar"],
)
async def test_the_doctor_says_whose_certificate_it_was(
    authority: Authority,
    check: Callable[[Settings], Awaitable[Verdict]],
    variables: dict[str, str],
    says: tuple[str, ...],
) -> None:
    async with showing(authority.issue(EXPIRED)) as port:
        env = {name: value.format(f"localhost:{port}") for name, value in variables.items()}
        line = await check(read_settings(env, default_environment="development"))
    assert line.kind == "failed"
    assert all(words in f"{line.seen} {line.advice}" for words in says), line
