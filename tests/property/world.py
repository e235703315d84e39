"""A client, a server, a database with a log that lags behind, and bad luck: each can take a step at any time.

Everything that must hold after every step is asserted here.
"""

from __future__ import annotations

from uuid import UUID

import msgspec
from msgspec import Raw

from schema.values import ZERO, Timestamp
from subscriptions import protocol
from subscriptions.client import ClientMachine
from subscriptions.effects import (
    Effect,
    Failed,
    Finish,
    Refresh,
    Returned,
    RunAction,
    RunMutation,
    Send,
    Succeeded,
    Value,
    Verify,
)
from subscriptions.events import Advanced, AuthRejected, Fatal, MutationSettled, Trouble
from subscriptions.phases import CLOSE_AWAY
from subscriptions.version import decode_timestamp
from tests.property.counters import ANYONE, Connection, Store

SESSION = UUID("a95282ec-bd91-423d-ae26-1ce77e791816")
TOKENS = {"token-ana": "ana", "token-ana-again": "ana", "token-bob": "bob"}


REPLIES: msgspec.json.Decoder[protocol.ServerMessage] = msgspec.json.Decoder(protocol.ServerMessage)


class World:
    """One client of one server; the oracle looks at everything the client is told."""

    def __init__(self) -> None:
        self.store = Store()
        self.client = ClientMachine(SESSION)
        self.clock = 1_000_000.0
        self.receipts: dict[int, Timestamp] = {}
        self.keys: dict[int, str] = {}
        self.told: Timestamp = ZERO  # the highest timestamp the client was ever moved to
        self.effects_of: dict[int, tuple[str, Timestamp]] = {}
        self.queries: dict[int, tuple[str, str]] = {}
        self.wants: list[int] = []
        self.settled: set[int] = set()
        self.line = Connection()
        self.open = self.returning = False

    def connect(self) -> None:
        self.line, self.open = Connection(), True
        self.line.late = not self.returning  # a first socket holds nothing back
        self.returning = True
        self._post(self.client.connect(client_ts=int(self.clock)))

    # ── the client ────────────────────────────────────────────────────────────────────────────────────────────────

    def subscribe(self, path: str, key: str) -> None:
        query_id, sent = self.client.subscribe(path, {"key": key})
        self.queries[query_id] = (path, key)
        self.wants.append(query_id)
        self._post(sent)

    def unsubscribe(self, choice: int) -> None:
        if not self.wants:
            return
        query_id = self.wants.pop(choice % len(self.wants))
        self._post(self.client.unsubscribe(query_id))

    def mutate(self, key: str) -> None:
        request_id, sent = self.client.mutation("counter:add", {"key": key})
        self.keys[request_id] = key
        self._post(sent)

    def act(self) -> None:
        self._post(self.client.action("counter:ask", {})[1])

    def authenticate(self, token: str | None) -> None:
        self._post(self.client.authenticate(token))

    # ── the network ───────────────────────────────────────────────────────────────────────────────────────────────

    def server_hears(self) -> None:
        message = protocol.parse(self.line.upstream.popleft())
        if isinstance(message, protocol.Authenticate):
            named = ANYONE if message.value is None else TOKENS.get(message.value, "nobody")
            self.line.callers.append(named)
        self._do(self.line.machine.receive(message, self.clock))

    def client_hears(self) -> None:
        self._client_hears(self.line.downstream.popleft())

    def drop(self, commits: bool) -> None:
        """The socket dies; what has begun to commit may or may not arrive in the database."""
        mutation, line = self.line.mutation, self.line
        if mutation is not None and line.stage == "committing" and commits:
            self._commit(mutation)
        self.client.disconnect()
        self.open, self.line = False, Connection()

    def part(self) -> None:
        """The process goes away: what has begun is answered, what has not is for the next one."""
        if self.open and not self.line.over:
            self._do(self.line.machine.part())

    def reconnect(self, lag: int) -> None:
        """A socket opens again, perhaps to another process; without this rule the client stays offline for long."""
        if not self.open:
            self.store.lag(lag)
            self.connect()

    # ── the server ────────────────────────────────────────────────────────────────────────────────────────────────

    def foreign_commit(self, key: str) -> None:
        self.store.commit(key)

    def log_advances(self) -> None:
        ts, key = self.store.untold.popleft()
        self.line.machine.invalidate([each for each, (_, of) in self.queries.items() if of == key])
        self.store.position = ts

    def verified(self) -> None:
        token = self.line.claims.popleft()
        if token in TOKENS:
            self._do(self.line.machine.authenticated(TOKENS[token], None, self.clock))
        else:
            self._do(self.line.machine.rejected("Nobody knows this token."))

    def mutation_goes_on(self) -> None:
        line, mutation = self.line, self.line.mutation
        assert mutation is not None
        key, receipt = self.keys[mutation.request_id], self.receipts.get(mutation.request_id)
        if line.stage == "running" and key == "broken":
            self._mutation_done(Failed("It is broken."))
        elif line.stage == "running" and receipt is not None:
            self._mutation_done(Succeeded(Raw(b'"done"'), receipt))
        elif line.stage == "running":
            line.machine.committing()
            line.stage = "committing"
        elif line.stage == "committing":
            line.committed = self._commit(mutation)
            line.stage = "committed"
        else:
            self._mutation_done(Succeeded(Raw(b'"done"'), line.committed))

    def action_ends(self) -> None:
        action = self.line.actions.pop()
        self._do(self.line.machine.action_done(action.request_id, Returned(Raw(b"null"))))

    def plan(self) -> None:
        self._do(self.line.machine.plan(self.store.position, self.clock))

    def complete(self) -> None:
        refresh, self.line.refresh = self.line.refresh, None
        assert refresh is not None
        results = {
            each.query_id: self.store.run(
                each.path, msgspec.json.decode(each.args)["key"], refresh.caller, refresh.target, each.journal
            )
            for each in refresh.queries
        }
        self._do(self.line.machine.complete(refresh, results, self.clock))

    def abandon(self) -> None:
        refresh, self.line.refresh = self.line.refresh, None
        if refresh is not None:
            self.line.machine.abandon(refresh)

    def time_passes(self, millis: float) -> None:
        self.clock += millis
        self.line.late = True  # a hold on the first transition has an end

    # ── what always holds ─────────────────────────────────────────────────────────────────────────────────────────

    def _client_hears(self, frame: bytes) -> None:
        line, message = self.line, REPLIES.decode(frame)
        if isinstance(message, protocol.Transition):
            self._check_transition(message)
        if isinstance(message, protocol.MutationResponse) and message.ts is not None:
            line.answered = max(line.answered, decode_timestamp(message.ts))
        for event in self.client.receive(frame):
            match event:
                case Advanced(version):
                    self._agree(version.ts)
                case MutationSettled(request_id, outcome):
                    assert request_id not in self.settled
                    self.settled.add(request_id)
                    assert isinstance(outcome, Trouble) is (self.keys[request_id] == "broken")
                    if not isinstance(outcome, Trouble):
                        assert self.client.version.ts >= self.receipts[request_id]
                case AuthRejected():
                    self.client.disconnect()
                    self.client.authenticate(None)
                    self.open, self.line = False, Connection()
                    return
                case Fatal(sentence):
                    raise AssertionError(sentence)
                case _:
                    pass

    def _check_transition(self, message: protocol.Transition) -> None:
        """Rules that the client machine itself is too polite to insist on."""
        line, end = self.line, decode_timestamp(message.end_version.ts)
        assert end >= self.told, "a timestamp went backwards"
        assert end >= line.answered, "a transition follows an answer without reaching it"
        self.told = max(end, line.answered)
        if line.first and not line.late:
            assert message.end_version.query_set > 0, "the first transition leaves a screen blank"
            if message.end_version.query_set == line.sent_query_set:
                told = {each.query_id for each in message.modifications}
                asked = {each for each in self.wants if each in line.query_sets}  # the others after the line was over
                assert asked <= told, "the first transition leaves a query blank"
        line.first = False
        for each in message.modifications:
            if isinstance(each, protocol.QueryUpdated) and each.query_id in self.wants:
                assert self.client.journal(each.query_id) in (None, each.journal), "a page lost its end"

    def _agree(self, ts: Timestamp) -> None:
        """Every answer the client holds is the one that running its query at `ts` gives."""
        version, caller = self.client.version, self.line.callers[self.client.version.identity]
        for query_id in set(self.wants):
            if query_id not in self.line.query_sets or self.line.query_sets[query_id] > version.query_set:
                continue  # asked for over a line that is over, or not yet answered
            path, key = self.queries[query_id]
            expected = self.store.run(path, key, caller, ts, self.client.journal(query_id))
            held = self.client.answer(query_id)
            if isinstance(expected, Value):
                assert held == expected.value, (path, key, version, held)
            else:
                assert held == Trouble(expected.message), (path, key, version, held)

    # ── the parts of the server that are not the machine ──────────────────────────────────────────────────────────

    def _post(self, sent: list[bytes]) -> None:
        if not self.open or self.line.over:
            return
        for frame in sent:
            message = protocol.parse(frame)
            if isinstance(message, protocol.ModifyQuerySet):
                self.line.sent_query_set = message.new_version
                for each in message.modifications:
                    if isinstance(each, protocol.Add):
                        self.line.query_sets[each.query_id] = message.new_version
            self.line.upstream.append(frame)

    def _do(self, effects: list[Effect[str]]) -> None:
        line = self.line
        for effect in effects:
            match effect:
                case Send(frame, is_transition):
                    if is_transition and line.stage == "committed":
                        end = decode_timestamp(msgspec.json.decode(frame)["endVersion"]["ts"])
                        assert end < line.committed, "a transition overtakes the answer to its mutation"
                    line.downstream.append(frame)
                case Verify(token):
                    line.claims.append(token)
                case RunMutation():
                    assert line.mutation is None, "two mutations at once"
                    line.mutation, line.stage = effect, "running"
                case RunAction():
                    line.actions.append(effect)
                case Refresh():
                    assert line.refresh is None, "two refreshes at once"
                    line.refresh = effect
                case Finish(code):
                    owed = line.mutation is not None or line.actions
                    unseen = line.machine.version.ts < line.promised
                    assert code != CLOSE_AWAY or not owed, "a socket leaves without an answer that it was owed"
                    assert code != CLOSE_AWAY or not unseen, "a socket leaves before the effect of what was answered"
                    line.over = True
                    line.upstream.clear()

    def _commit(self, mutation: RunMutation[str]) -> Timestamp:
        ts = self.store.commit(self.keys[mutation.request_id])
        self.receipts[mutation.request_id] = ts
        return ts

    def _mutation_done(self, outcome: Succeeded | Failed) -> None:
        line = self.line
        assert line.mutation is not None
        done, line.mutation, line.stage = line.mutation, None, "running"
        if isinstance(outcome, Succeeded):
            line.promised = max(line.promised, outcome.ts)
        self._do(line.machine.mutation_done(done.request_id, outcome))
