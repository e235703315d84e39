"""The two ways in which a result is written over HTTP: for the published clients, and for readers that know only JSON."""

from __future__ import annotations

import json

import pytest

from tests.support.http import http_client
from tests.support.live import Value
from tests.support.world import World

INT64 = {"$integer": "//////////8="}
MINUS_ZERO = {"$float": "AAAAAAAAAIA="}
WRONG = {"path": "playground:half", "args": {"of": INT64}}


async def called(world: World, **body: Value) -> tuple[Value, str]:
    """What a query says: as JSON is read, and as it is written."""
    async with http_client() as http:
        reply = await http.post(f"{world.url}/api/query", json=body)
        assert reply.status_code == 200, reply.text
        return json.loads(reply.text), reply.text


@pytest.mark.parametrize("wanted", [{}, {"format": "json"}, {"format": "convex_clean_json"}], ids=str)
async def test_a_reader_of_plain_json_gets_plain_json(world: World, wanted: Value) -> None:
    answer, text = await called(world, path="playground:curiosities", args={}, **wanted)
    made = answer["value"]
    assert made["bytes"].startswith("AAECAwQF")
    assert (made["infinity"], made["nan"], made["negativeInfinity"]) == ("Infinity", "NaN", "-Infinity")
    assert (made["ten"], made["tenth"]) == (10.0, 0.1)
    assert '"ten":10.0' in text
    assert '"negativeZero":-0.0' in text
    there_and_back, _ = await called(world, path="playground:echo", args={"value": [{"a": INT64}]}, **wanted)
    assert there_and_back["value"] == [{"a": "-1"}]
    refused, _ = await called(world, **WRONG, **wanted)
    assert refused["errorData"]["field"] == "of"


@pytest.mark.parametrize("wanted", ["convex_encoded_json", "convex_json"])
async def test_a_client_gets_what_it_can_read_back(world: World, wanted: str) -> None:
    answer, _ = await called(world, path="playground:curiosities", args={}, format=wanted)
    assert answer["value"]["negativeZero"] == MINUS_ZERO
    assert set(answer["value"]["bytes"]) == {"$bytes"}
    half, _ = await called(world, path="playground:half", args={"of": MINUS_ZERO}, format=wanted)
    assert half["value"] == MINUS_ZERO
