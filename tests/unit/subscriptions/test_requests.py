"""Mutations one after the other, actions side by side."""

from __future__ import annotations

import msgspec
import pytest
from msgspec import Raw

from schema.values import Timestamp
from subscriptions.effects import Effect, Failed, Returned, RunAction, RunMutation, Send, Succeeded
from subscriptions.errors import LocalProtocolError, RemoteProtocolError, TooMany
from subscriptions.protocol import Action, Mutation
from subscriptions.requests import MAX_ACTIONS, MAX_MUTATIONS, Requests

DONE = Succeeded(Raw(b"3.0"), Timestamp(1))


def mutation(request_id: int) -> Mutation:
    return Mutation(request_id, "m:f", Raw(b"{}"))


def action(request_id: int) -> Action:
    return Action(request_id, "m:f", Raw(b"{}"))


def sent(effect: Effect[str]) -> object:
    assert isinstance(effect, Send)
    return msgspec.json.decode(effect.frame)


def test_mutations_run_one_at_a_time_in_order_as_who_asked() -> None:
    requests: Requests[str] = Requests()
    assert requests.mutate(mutation(0), "ana", "s") == [RunMutation(0, "m:f", Raw(b"{}"), "ana", "s")]
    assert requests.mutate(mutation(1), "bob", None) == []
    answer, following = requests.mutation_done(0, DONE)
    assert sent(answer) == {
        "type": "MutationResponse", "requestId": 0, "success": True, "result": 3.0, "ts": "AQAAAAAAAAA=", "logLines": [],
    }  # fmt: skip
    assert following == RunMutation(1, "m:f", Raw(b"{}"), "bob", None)
    assert len(requests.mutation_done(1, DONE)) == 1


@pytest.mark.parametrize(("data", "more"), [(None, {}), (Raw(b"null"), {"errorData": None})])
def test_failures_show_their_data_only_if_there_is_any(data: Raw | None, more: dict[str, object]) -> None:
    requests: Requests[str] = Requests()
    requests.mutate(mutation(0), "ana", None)
    requests.act(action(1), "ana", None)
    failed = {"success": False, "result": "no", "logLines": []} | more
    (answer,) = requests.mutation_done(0, Failed("no", data))
    assert sent(answer) == {"type": "MutationResponse", "requestId": 0, "ts": None} | failed
    (answer,) = requests.action_done(1, Failed("no", data))
    assert sent(answer) == {"type": "ActionResponse", "requestId": 1} | failed
    assert requests.floor == 0


def test_the_floor_is_the_highest_answered_commit() -> None:
    requests: Requests[str] = Requests()
    for request_id, ts in enumerate([5, 9, 7]):
        requests.mutate(mutation(request_id), "ana", None)
        requests.mutation_done(request_id, Succeeded(Raw(b"1"), Timestamp(ts)))
    assert requests.floor == 9


def test_actions_run_side_by_side() -> None:
    requests: Requests[str] = Requests()
    assert requests.act(action(0), "ana", "s") == [RunAction(0, "m:f", Raw(b"{}"), "ana", "s")]
    assert len(requests.act(action(1), "ana", "s")) == 1
    for request_id in (1, 0):
        (answer,) = requests.action_done(request_id, Returned(Raw(b"null")))
        assert isinstance(answer, Send)


def test_a_number_is_used_once_at_a_time() -> None:
    requests: Requests[str] = Requests()
    requests.mutate(mutation(0), "ana", None)
    for ask in (requests.mutate,):
        with pytest.raises(RemoteProtocolError):
            ask(mutation(0), "ana", None)
    with pytest.raises(RemoteProtocolError):
        requests.act(action(0), "ana", None)


def test_lines_have_an_end() -> None:
    requests: Requests[str] = Requests()
    for each in range(MAX_MUTATIONS + 1):
        requests.mutate(mutation(each), "ana", None)
    with pytest.raises(TooMany, match="TooManyConcurrentMutations"):
        requests.mutate(mutation(5_000), "ana", None)
    for each in range(10_000, 10_000 + MAX_ACTIONS):
        requests.act(action(each), "ana", None)
    with pytest.raises(TooMany, match="TooManyInflightActionsForSingleClient"):
        requests.act(action(5_000), "ana", None)


def test_our_own_mistakes_are_noticed() -> None:
    requests: Requests[str] = Requests()
    for mistake in (
        requests.commit,
        lambda: requests.mutation_done(0, DONE),
        lambda: requests.action_done(0, Failed("x")),
    ):
        with pytest.raises(LocalProtocolError):
            mistake()
    requests.mutate(mutation(0), "ana", None)
    requests.commit()
    assert repr(requests) == "<Requests running #0 committing, 0 waiting, 0 actions>"
    with pytest.raises(LocalProtocolError):
        requests.commit()
    requests.validate()
    requests.mutation_done(0, DONE)
    assert not requests.committing


def test_once_shut_down_nothing_begins_and_what_has_begun_is_owed() -> None:
    requests: Requests[str] = Requests()
    requests.mutate(mutation(0), "ana", "s")
    requests.mutate(mutation(1), "ana", "s")
    requests.act(action(2), "ana", "s")
    requests.shut_down()
    assert requests.mutate(mutation(3), "ana", "s") == []
    assert len(requests.mutation_done(0, DONE)) == 1, "the one behind it is for the client to send again"
    assert not requests.over_at(DONE.ts)
    requests.validate()
    requests.action_done(2, Returned(Raw(b"null")))
    assert not requests.over_at(Timestamp(DONE.ts - 1)), "its effect is not on the screen yet"
    assert requests.over_at(DONE.ts)
    requests.validate()
