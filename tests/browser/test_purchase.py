"""Buying credits at the page: out of credits, off to the payment page and back, and the truth about how it went."""

from __future__ import annotations

import re
from typing import Final

import pytest
from playwright.async_api import expect

from schema.billing import BILLING_SETTINGS_ID, BillingSettings
from schema.writer import Writer
from tests.browser.person import Invite, Person
from tests.support.world import World

PACK: Final = 420
PAYMENT_PAGE: Final = re.compile("/dev/checkout/polar_c_")


@pytest.fixture
async def poor_world(world: World) -> World:
    """A world that gives newcomers nothing."""

    async def give_nothing(db: Writer) -> None:
        await db.insert(BillingSettings(id=BILLING_SETTINGS_ID, free_trial_credits=0))

    await world.runtime.database.transact(give_nothing)
    return world


async def arrive(person: Person, world: World) -> None:
    """At the page, with nothing in the purse."""
    await person.visit(world.url)
    await person.sign_in(balance=0)


async def go_to_pay(person: Person) -> None:
    """From the drawer to the payment page."""
    await person.at("buy").click()
    await person.page.wait_for_url(PAYMENT_PAGE)
    await expect(person.at("pack")).to_have_text(f"{PACK} credits")


async def test_a_member_without_credits_buys_some(poor_world: World, invite: Invite) -> None:
    zoe, elsewhere = await invite("Zoe"), await invite("Zoe")
    await arrive(zoe, poor_world)
    await arrive(elsewhere, poor_world)
    await elsewhere.mark()
    await expect(zoe.at("credits")).to_have_attribute("data-variant", "destructive")
    await expect(zoe.at("out-of-credits")).to_be_visible()

    await zoe.at("get-credits").click()
    await expect(zoe.at("ledger")).to_be_visible()
    await expect(zoe.at("payments")).to_be_hidden()
    await go_to_pay(zoe)
    await zoe.at("pay").click()

    await expect(zoe.at("purchase")).to_have_text(f"Payment received: +{PACK} credits.")
    await expect(zoe.at("ledger")).to_be_visible()
    assert zoe.page.url == f"{poor_world.url}/", "what Polar wrote into the address is gone"
    await zoe.has_credits(PACK)
    await expect(zoe.at("payments").get_by_role("listitem")).to_contain_text([f"Paid $5.00+{PACK}"])
    await zoe.page.keyboard.press("Escape")
    await expect(zoe.at("ledger")).to_be_hidden()
    await expect(zoe.at("out-of-credits")).to_be_hidden()
    await expect(zoe.at("credits")).to_have_attribute("data-variant", "secondary")
    await elsewhere.has_credits(PACK)
    assert await elsewhere.seen_statuses() == [], "the other window was never loaded anew"

    await zoe.page.reload()
    await zoe.has_credits(PACK)
    await zoe.at("credits").click()
    await expect(zoe.at("shop")).to_have_attribute("data-state", "idle")


async def test_declining_is_a_sentence_and_another_try(poor_world: World, invite: Invite) -> None:
    yan = await invite("Yan")
    await arrive(yan, poor_world)
    await yan.at("credits").click()
    await go_to_pay(yan)
    await yan.at("decline").click()
    await expect(yan.at("stamp")).to_have_text("Closed")
    await yan.at("back").click()
    await expect(yan.at("notice")).to_contain_text("Nothing was charged")
    await yan.at("credits").click()
    await expect(yan.at("purchase")).to_contain_text("Nothing was charged")
    await expect(yan.at("buy")).to_have_text("Try again")
    await go_to_pay(yan)
    await yan.at("pay").click()
    await expect(yan.at("purchase")).to_have_text(f"Payment received: +{PACK} credits.")


async def test_coming_back_without_paying_leaves_the_page_open(poor_world: World, invite: Invite) -> None:
    xia = await invite("Xia")
    await arrive(xia, poor_world)
    await xia.at("credits").click()
    await go_to_pay(xia)
    address = xia.page.url
    await xia.at("back").click()
    await xia.has_credits(0)
    await expect(xia.at("ledger")).to_be_hidden()
    await xia.at("credits").click()
    await expect(xia.at("purchase")).to_have_text("Your payment page is still open.")
    await xia.at("to-payment").click()
    await xia.page.wait_for_url(address)
    await xia.at("pay").click()
    await xia.has_credits(PACK)


async def test_a_refund_is_seen_while_it_happens(poor_world: World, invite: Invite) -> None:
    wim, elsewhere = await invite("Wim"), await invite("Wim")
    await arrive(wim, poor_world)
    await wim.at("credits").click()
    await go_to_pay(wim)
    address = wim.page.url
    await wim.at("pay").click()
    await wim.has_credits(PACK)
    await elsewhere.page.goto(address)
    await elsewhere.at("refund-half").click()
    await wim.has_credits(PACK // 2)
    await elsewhere.at("refund-all").click()
    await expect(elsewhere.at("stamp")).to_have_text("Refunded")
    await wim.has_credits(0)
    await expect(wim.at("ledger").get_by_text("A refunded purchase")).to_have_count(2)
    await expect(wim.at("payments").get_by_role("listitem")).to_contain_text(["Paid and refunded $5.00"])
