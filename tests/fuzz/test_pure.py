"""Garbage for the functions that meet a stranger's bytes first: parsed, or blamed on its sender; nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest
from msgspec import Raw

from schema.errors import InvalidCursor
from schema.paging import Position
from schema.values import Timestamp
from server.auth.errors import GrantRefused, SignatureRefused
from server.auth.grants import Grants, SignedCursors
from server.auth.signatures import signature, verify
from server.pictures.errors import BadPhoto
from server.pictures.lab import PhotoLab
from server.pictures.sniff import describe, sniff
from subscriptions import protocol
from subscriptions.effects import Effect, Failed, Refresh, Returned, RunAction, RunMutation, Succeeded, Value, Verify
from subscriptions.errors import RemoteProtocolError, TooMany
from subscriptions.sync import SyncMachine
from tests.fuzz.corpus import CONVERSATION, PHOTOS
from tests.fuzz.mutations import conversation, damaged, hostile
from tests.fuzz.trials import Trials

NOW = 1_764_000_000_000.0
KEY = bytes(range(32))
STORED = ("image/jpeg", "image/png", "image/webp")
POLAR = sorted((Path(__file__).parents[1] / "fixtures" / "polar").glob("o*.json"))


# --- frames ----------------------------------------------------------------------------------------------------------


class Driven:
    """A machine with everything that it asks for done at once, well or badly."""

    def __init__(self, rng: Random) -> None:
        self._rng, self._ts = rng, 1
        self.machine: SyncMachine[str] = SyncMachine("anyone", chunks=rng.random() < 0.5)

    def hear(self, frame: bytes) -> None:
        try:
            effects = self.machine.receive(protocol.parse(frame), NOW)
        except (RemoteProtocolError, TooMany) as error:
            effects = self.machine.fail(error)
        self._perform(effects)
        self._perform(self.machine.plan(Timestamp(self._ts), NOW))

    def _perform(self, effects: list[Effect[str]]) -> None:
        self.machine.validate()
        self._ts += 1
        for effect in effects:
            match effect:
                case Verify(token):
                    good = self._rng.random() < 0.7
                    done = self.machine.authenticated(token, None, NOW) if good else self.machine.rejected("No.")
                    self._perform(done)
                case RunMutation(request_id):
                    self._perform(self.machine.mutation_done(request_id, self._ended()))
                case RunAction(request_id):
                    outcome = Returned(Raw(b"1")) if self._rng.random() < 0.5 else Failed("no")
                    self._perform(self.machine.action_done(request_id, outcome))
                case Refresh():
                    shown = {each.query_id: Value(Raw(b"[]"), b"d", each.journal) for each in effect.queries}
                    self._perform(self.machine.complete(effect, shown, NOW))

    def _ended(self) -> Succeeded | Failed:
        return Succeeded(Raw(b"null"), Timestamp(self._ts)) if self._rng.random() < 0.5 else Failed("no")


def test_frames(trials: Trials) -> None:
    """Any frames are read or are fatal for their socket, and the machine stays sound; nothing else."""
    for rng, frames in trials.of(lambda rng: (rng, conversation(rng, CONVERSATION)), 3_000):
        driven = Driven(rng)
        with trials.blaming(frames):
            for frame in frames:
                driven.hear(frame)


# --- signed texts ----------------------------------------------------------------------------------------------------

BINDINGS = ("images/by_user/ana", "images/by_user/ben", "")


def test_cursors(trials: Trials) -> None:
    """A cursor opens as the position it was sealed with, under the binding it was sealed for, or is invalid; nothing else."""
    cursors = SignedCursors(KEY)
    positions = [
        Position(()),
        Position((None, True, 1.5, NOW, "0123456789abcdefghjkmnpqrs")),
        Position((2**63 - 1, "ü")),
    ]
    sealed = {cursors.seal(binding, each).encode(): (binding, each) for binding in BINDINGS for each in positions}
    for text in trials.of(lambda rng: damaged(rng, [*sealed]), 4_000):
        with trials.blaming(text):
            for binding in BINDINGS:
                try:
                    opened = cursors.open(binding, text.decode("latin-1"))
                except InvalidCursor:
                    continue
                assert sealed[text] == (binding, opened)


def test_grants(trials: Trials) -> None:
    """A permission to upload is one that we gave, or is refused; and it opens no file. Nothing else."""
    grants = Grants(KEY)
    given = {grants.upload_token(name, NOW, f"n{name}").encode(): name for name in ("ana", "ben")}
    keys = {grants.file_key(name).encode(): name for name in ("ana", "ben")}
    for text in trials.of(lambda rng: damaged(rng, [*given, *keys]), 4_000):
        with trials.blaming(text):
            token = text.decode("latin-1")
            for name in ("ana", "ben"):
                assert grants.opens_file(name, token) is (keys.get(text) == name)
            try:
                opened = grants.open_upload(token, NOW)
            except GrantRefused:
                continue
            assert given[text] == opened.subject


# --- webhooks --------------------------------------------------------------------------------------------------------

SECRETS = ("whsec_ZmFrZS1mYWtlLWZha2UtZmFrZS1mYWtlLWZha2UtMzI=", "polar_whs_fake")
HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


def delivery(rng: Random, genuine: list[tuple[dict[str, str], bytes]]) -> tuple[dict[str, str], bytes]:
    """A genuine delivery, damaged in its body, in a header, or in both."""
    headers, body = rng.choice(genuine)
    if rng.random() < 0.6:
        body = hostile(rng, [body])
    if rng.random() < 0.6:
        name = rng.choice(HEADERS)
        others = [each[name].encode() for each, _ in genuine]
        headers = {**headers, name: damaged(rng, others).decode("latin-1")}
    if rng.random() < 0.1:
        headers = {name: value for name, value in headers.items() if name != rng.choice(HEADERS)}
    return headers, body


def test_webhooks(trials: Trials) -> None:
    """What passes was signed by us, for this id, at this time, over exactly this body; all else is refused. Nothing else."""
    moment = str(int(NOW) // 1_000)
    genuine = []
    for number, path in enumerate(POLAR):
        body = path.read_bytes()
        token = f"v1,{signature(SECRETS[number % 2].encode(), f'msg_{number}', moment, body)}"
        genuine.append((dict(zip(HEADERS, (f"msg_{number}", moment, token), strict=True)), body))
    signed = {(headers["webhook-id"], headers["webhook-timestamp"], body) for headers, body in genuine}
    assert len(signed) > 2
    for headers, body in genuine:
        assert verify(headers, body, SECRETS, NOW) == headers["webhook-id"]
    for headers, body in trials.of(lambda rng: delivery(rng, genuine), 3_000):
        with trials.blaming((headers, body)):
            try:
                message_id = verify(headers, body, SECRETS, NOW)
            except SignatureRefused:
                continue
            assert (message_id, headers["webhook-timestamp"], body) in signed


# --- pictures --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def lab() -> AsyncIterator[tuple[PhotoLab, list[str]]]:
    """Darkrooms, and what they had to report."""
    reports: list[str] = []
    opened = PhotoLab(report=reports.append)
    yield opened, reports
    await opened.close()


async def test_pictures(trials: Trials, lab: tuple[PhotoLab, list[str]], tmp_path: Path) -> None:
    """Any bytes are a photo of ours or are refused in a sentence, by code that foresaw it; nothing else."""
    room, reports = lab
    said: list[str] = []
    for content in trials.of(lambda rng: damaged(rng, PHOTOS), 300):
        path = tmp_path / hashlib.sha256(content).hexdigest()
        path.write_bytes(content)
        with trials.blaming(content.hex()):
            head = content[:32]
            assert sniff(head) is None or describe(head) in (None, "a video")
            try:
                photo = await room.inspect(path)
                assert photo.content_type in STORED
            except BadPhoto as refused:
                said.append(refused.reason_sentence)
            assert reports == []
        path.unlink()
    assert [each for each in said if not each.endswith(".")] == []
