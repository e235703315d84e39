"""A member with the PyPI client behind a balancer while every process is replaced. Its calls block, so this is a process.

`python -m tests.wire.member_story <json>` says JSON lines, on which the test that started it asserts.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
import traceback

from convex import ConvexClient

PAUSE_S = 0.04


def say(said: str, **more: object) -> None:
    """One line for the test."""
    print(json.dumps({"said": said, **more}), flush=True)


def is_told() -> bool:
    """Has the test said something?"""
    return bool(select.select([sys.stdin], [], [], PAUSE_S)[0])


def story(url: str, subject: str, token: str) -> None:
    """One adjustment after the other until there are enough of them."""
    client = ConvexClient(url)
    client.set_auth(token)
    client.mutation("users:ensureUser")
    say("ready")
    asked, longest_s = 0, 0.0
    while not is_told():
        began = time.monotonic()
        client.mutation("admin:adjustCredits", {"userId": subject, "amount": 1.0, "reason": f"{subject} {asked}"})
        longest_s = max(longest_s, time.monotonic() - began)
        asked += 1
    sys.stdin.readline()
    say("done", asked=asked, longestMs=round(longest_s * 1_000), credits=client.query("users:getCurrentUserCredits"))


def main() -> None:
    """Tell it; the client has no way to be closed, and its threads do not end by themselves."""
    told = json.loads(sys.argv[1])
    try:
        story(told["url"], told["subject"], told["token"])
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main()
