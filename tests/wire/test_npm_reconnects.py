"""The published npm client on a wire that is cut, held and unplugged: nothing flashes, nothing is lost, nothing runs twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from server.config import Settings, read_settings
from server.processes import listening, serving
from server.runtime import open_runtime
from tests.support.proxy import Proxy
from tests.support.world import World, free_port, fresh_database
from tests.wire import playground
from tests.wire.conftest import Teller, write_notes
from tests.wire.playground import gates


async def test_a_story_on_a_bad_network(npm: Teller, world: World, proxy: Proxy, subject: str) -> None:
    gate, action_gate = f"{subject} mutation", f"{subject} action"
    async with npm("reconnect", url=proxy.url, gate=gate, actionGate=action_gate) as story:
        await story.hear("ready")
        proxy.unplug()
        await write_notes(world, subject, "meanwhile")
        proxy.plug()
        story.tell("cut")
        back = await story.hear("reconnected")
        balance, notes, page, who = back["before"]
        assert (notes, page["page"], who) == (["before"], ["before"], subject)
        assert back["now"][:2] == [balance, ["before", "meanwhile"]]
        assert back["now"][2]["page"] == ["meanwhile", "before"]
        assert back["flashes"] == []
        # The client tells everything it has after a reconnect, the same values too.
        assert back["seen"][0] == [balance]
        assert back["seen"][1] == [["before", "meanwhile"]]
        assert back["seen"][3] == [subject]
        assert back["burst"] == ["Connect", "Authenticate", "ModifyQuerySet"]
        assert back["journals"] == ["playground:notePages"]
        assert back["answered"] == 4
        assert back["version"] == {"querySet": 0, "identity": 0, "ts": "AAAAAAAAAAA="}
        assert back["reached"] == {"querySet": 1, "identity": 1}

        proxy.hold()
        story.tell("unanswered")
        await story.hear("asked")
        await proxy.holding()
        proxy.cut()
        answered = await story.hear("answered")
        assert answered["outcome"] == {"value": "unanswered"}
        assert answered["shown"] == ["before", "meanwhile", "unanswered"]

        twice = await story.hear("answered twice")
        assert twice["outcome"] == {"value": "unreleased"}
        assert twice["shown"] == ["before", "meanwhile", "unanswered", "unreleased"]

        await story.hear("both are running")
        await gates[gate].entered.wait()
        await gates[action_gate].entered.wait()
        connections = proxy.connections
        proxy.cut()
        lost = await story.hear("the action is lost")
        assert "Connection lost while action was in flight" in lost["outcome"]["message"]
        await proxy.connected(connections + 1)
        gates[gate].open()
        gates[action_gate].open()
        kept = await story.hear("the mutation is not")
        assert kept["outcome"] == {"value": "running"}
        assert kept["shown"] == ["before", "meanwhile", "unanswered", "unreleased", "running"]
        assert gates[gate].entries == 1
        assert gates[action_gate].entries == 1

        proxy.unplug()
        story.tell("unplugged")
        await story.hear("asked offline")
        proxy.plug()
        later = await story.hear("answered later")
        assert later["outcome"] == {"value": "offline"}
        assert later["shown"][:6] == ["before", "meanwhile", "unanswered", "unreleased", "running", "offline"]
        assert "offline action" in later["action"]["value"]

        end = await story.hear("at last")
        assert sorted(end["notes"]) == sorted(
            ["before", "meanwhile", "unanswered", "unreleased", "running", "offline", "offline action"]
        )
        assert end["sessions"] == 1
        seen = await story.hear("seen")
        assert "undefined!" not in [value for values in seen["seen"] for value in values]


async def test_pages_neither_gap_nor_overlap(npm: Teller, proxy: Proxy) -> None:
    async with npm("pages", url=proxy.url) as story:
        first = await story.hear("first page")
        assert first["rows"] == ["5", "4"]
        assert (await story.hear("second page"))["rows"] == ["5", "4", "3", "2"]
        assert (await story.hear("grown"))["rows"] == ["6", "5", "4", "3", "2"]
        proxy.cut()
        story.tell("cut")
        assert (await story.hear("reconnected"))["rows"] == ["7", "6", "5", "4", "3", "2"]
        assert (await story.hear("exhausted"))["rows"] == ["7", "6", "5", "4", "3", "2", "1"]


async def test_a_line_that_takes_nothing_gets_few_and_new_transitions(
    npm: Teller, world: World, proxy: Proxy, subject: str
) -> None:
    async with npm("slow", url=proxy.url) as story:
        await story.hear("ready")
        proxy.hold()
        texts = [str(number) for number in range(16)]
        await write_notes(world, subject, *texts)
        proxy.release()
        caught_up = await story.hear("caught up")
        assert caught_up["transitions"] < len(texts) - 2
        assert caught_up["growing"]
        assert caught_up["notes"] == texts


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[None]:
    """One life of a server; its database survives it."""
    registry = playground.with_playground(playground)
    async with (
        listening(settings) as listener,
        open_runtime(settings, registry) as runtime,
        serving(settings, runtime, listener),
    ):
        yield


async def test_the_server_restarts(npm: Teller, pypi: Teller, mongod_uri: str, tmp_path: Path) -> None:
    env = {"MONGODB_URI": fresh_database(mongod_uri), "PORT": str(free_port()), "DATA_DIR": str(tmp_path)}
    settings = read_settings(env, default_environment="development")
    url = settings.public_url
    async with AsyncExitStack() as first:
        await first.enter_async_context(running(settings))
        async with npm("restart", url=url, site=url) as story, pypi("restart", url=url, site=url) as other:
            await story.hear("ready")
            await other.hear("ready")
            await first.aclose()
            shown = (await story.hear("away"))["shown"]
            async with running(settings):
                story.tell("back")
                back = await story.hear("back")
                assert back["written"] == {"value": "while it is away"}
                assert back["shown"] == [["before", "while it is away"], shown[1]]
                assert back["flashes"] == []
                assert back["observed"] == "string"
                assert back["fatal"] == 0
                await story.end()
                other.tell("back")
                assert (await other.hear("back"))["notes"] == ["before", "while it is away", "after"]
                await other.end()
