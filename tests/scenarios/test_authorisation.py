"""Who may do what: one table of every public function and everyone who may call it. A function that is missing here fails."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from server.functions import published
from tests.scenarios.stock import give, one, original_of, paged, put, result_of
from tests.support.live import LiveClient, Refusal, Value, world_client
from tests.support.world import World, open_world

OK, SIGN_IN, NO, WRONG = "", "UNAUTHENTICATED", "FORBIDDEN", "VALIDATION"

ANYONE = (OK, OK, OK, OK)
SIGNED_IN = (SIGN_IN, OK, OK, OK)
OWNER = (SIGN_IN, NO, OK, NO)
OWNER_OR_ADMIN = (SIGN_IN, NO, OK, OK)
ADMIN = (SIGN_IN, NO, NO, OK)
ADMIN_THEN_REFUSED = (SIGN_IN, NO, NO, WRONG)
ADMIN_OF_WHAT_IS_FEATURED = (SIGN_IN, NO, NO, "CONFLICT")
ADMIN_OF_NOTHING = (SIGN_IN, NO, NO, "NOT_FOUND")
SIGNED_IN_THEN_REFUSED = (SIGN_IN, WRONG, WRONG, WRONG)

PEOPLE = ("visitor", "member", "owner", "admin")
PAGE = paged()
PICTURE = {"imageId": "a picture of the owner's"}
BILLING = {"packPriceCents": 500, "creditsPerPack": 420, "refundOnFailure": True, "freeTrialCredits": 10}
ADJUSTMENT = {"userId": "member", "amount": 1, "reason": "a gift"}
ASSIGNMENT = {"orderId": "nobody's", "userId": "member", "credits": 1, "reason": "theirs"}
FAILURE = {"imageId": "a photo of the owner's that could not be drawn"}

#   function                                 arguments                             visitor, member, owner, admin
TABLE: dict[str, tuple[Value, tuple[str, str, str, str]]] = {
    "images:generateUploadUrl":              ({},                                  SIGNED_IN),
    "images:uploadAndScheduleGeneration":    ({"storageId": "nothing"},            SIGNED_IN_THEN_REFUSED),
    "images:retryOriginal":                  (FAILURE,                             OWNER),
    "images:getGalleryImagesPaginated":      (PAGE,                                SIGNED_IN),
    "images:getGalleryImages":               ({},                                  SIGNED_IN),
    "images:getImages":                      ({},                                  SIGNED_IN),
    "images:getGalleryImagesCount":          ({},                                  SIGNED_IN),
    "images:hasActiveGenerations":           ({},                                  SIGNED_IN),
    "images:getFailedImages":                ({},                                  SIGNED_IN),
    "images:getPublicGallery":               (PAGE,                                ANYONE),
    "images:getImageById":                   (PICTURE,                             ANYONE),
    "images:updateFeaturedStatus":           ({**PICTURE, "isFeatured": True},     OWNER),
    "images:updateShareSettings":            ({**PICTURE, "sharingEnabled": True}, OWNER),
    "images:deleteImage":                    (PICTURE,                             OWNER_OR_ADMIN),
    "users:ensureUser":                      ({},                                  SIGNED_IN),
    "users:getCurrentUserCredits":           ({},                                  SIGNED_IN),
    "users:getCreditHistory":                (PAGE,                                SIGNED_IN),
    "users:deleteMyAccount":                 ({},                                  SIGNED_IN),
    "payments:initiateCheckout":             ({},                                  SIGNED_IN),
    "payments:getCheckoutSession":           ({"sessionId": "nothing"},            SIGNED_IN),
    "payments:getPaymentHistory":            (PAGE,                                SIGNED_IN),
    "admin:getAdminStatus":                  ({},                                  SIGNED_IN),
    "admin:grantAdmin":                      ({"userId": "somebody"},              ADMIN),
    "admin:revokeAdmin":                     ({"userId": "nobody"},                ADMIN_THEN_REFUSED),
    "admin:getAdminFeaturedImages":          (PAGE,                                ADMIN),
    "admin:getPendingFeaturedImages":        (PAGE,                                ADMIN),
    "admin:approveFeaturedImage":            (PICTURE,                             ADMIN_OF_WHAT_IS_FEATURED),
    "admin:rejectFeaturedImage":             ({**PICTURE, "reason": "no"},         ADMIN_OF_WHAT_IS_FEATURED),
    "admin:disableFeaturedImage":            ({**PICTURE, "reason": "no"},         ADMIN),
    "admin:enableFeaturedImage":             (PICTURE,                             ADMIN),
    "admin:getAuditLog":                     (PAGE,                                ADMIN),
    "admin:getBillingSettings":              ({},                                  ADMIN),
    "admin:updateBillingSettings":           (BILLING,                             ADMIN),
    "admin:getModerationSettings":           ({},                                  ADMIN),
    "admin:updateModerationSettings":        ({"requireApproval": False},          ADMIN),
    "admin:normalizeFeaturedFlags":          ({},                                  ADMIN),
    "admin:adjustCredits":                   (ADJUSTMENT,                          ADMIN),
    "admin:getParkedOrders":                 (PAGE,                                ADMIN),
    "admin:assignParkedOrder":               (ASSIGNMENT,                          ADMIN_OF_NOTHING),
    "admin:getStuckJobs":                    (PAGE,                                ADMIN),
    "admin:retryJob":                        ({"jobId": "nothing"},                ADMIN_OF_NOTHING),
    "admin:getOverview":                     ({},                                  ADMIN),
    "admin:getWebhookHealth":                ({},                                  ADMIN),
    "admin:getProcesses":                    ({},                                  ADMIN),
    "admin:getLedgerAudit":                  ({},                                  ADMIN),
    "admin:getUsers":                        (PAGE,                                ADMIN),
    "admin:findUsers":                       ({"text": "member"},                  ADMIN),
}  # fmt: skip

LEAVING = "users:deleteMyAccount"
"""Called by people of whom no other test knows."""

INTERNAL = (
    "generateImage", "saveGeneratedImage", "updateImageStatus", "maybeRetryOnce", "refundCreditsForFailedGeneration",
    "processPaidOrder", "getImageUserForRefund", "upsertFromClerkWebhook",
)  # fmt: skip
HOMES = ("images", "users", "payments", "admin", "generation", "generate", "internal")
"""Where clients of the data model might look for them."""
NOT_THERE = "noSuchFunction"


@pytest.fixture(scope="module")
async def place(mongod_uri: str) -> AsyncIterator[World]:
    async with open_world(mongod_uri) as opened:
        yield opened


@pytest.fixture(scope="module")
async def people(place: World) -> AsyncIterator[dict[str, LiveClient]]:
    async with (
        world_client(place) as visitor,
        world_client(place, "member") as member,
        world_client(place, "owner") as owner,
        world_client(place, "admin", admin=True) as admin,
    ):
        for subject in PEOPLE[1:]:
            await give(place, subject, 10)
        yield {"visitor": visitor, "member": member, "owner": owner, "admin": admin}


def test_every_function_is_in_the_table() -> None:
    assert {function.path for function in published()} == TABLE.keys()


@pytest.mark.parametrize("path", [path for path in TABLE if path != LEAVING])
async def test_who_may(place: World, people: dict[str, LiveClient], path: str) -> None:
    function = published().find(path)
    assert function is not None
    args, expected = TABLE[path]
    answers = []
    for name in PEOPLE:
        status = "failed" if args is FAILURE else "completed"
        made = original_of if args is FAILURE else result_of
        (picture,) = await put(place, made("owner", 1.0, generation_status=status))
        asked = {**args, "imageId": picture.id} if "imageId" in args else args
        code = await _code(people[name], function.kind, path, asked)
        answers.append(code)
        if code:
            assert await one(place, type(picture), picture.id) == picture
    assert tuple(answers) == expected, f"{path} for {', '.join(PEOPLE)}"


@pytest.mark.parametrize("path", [path for path, (_, expected) in TABLE.items() if expected[0] == SIGN_IN])
async def test_visitors_are_asked_to_sign_in_before_anything_else_is_said(
    people: dict[str, LiveClient], path: str
) -> None:
    function = published().find(path)
    assert function is not None
    with pytest.raises(Refusal) as refusal:
        await _call(people["visitor"], function.kind, path, TABLE[path][0])
    assert refusal.value.data == {"code": SIGN_IN, "message": "Please sign in first."}
    assert refusal.value.message == f"{SIGN_IN}: Please sign in first."


async def test_only_who_is_signed_in_may_leave(place: World) -> None:
    expected = TABLE[LEAVING][1]
    subjects = (None, "leaving member", "leaving owner", "leaving admin")
    answers = []
    for subject in subjects:
        async with world_client(place, subject, admin=subject == "leaving admin") as person:
            answers.append(await _code(person, "mutation", LEAVING, {}))
    assert tuple(answers) == expected


@pytest.mark.parametrize("name", INTERNAL)
async def test_an_internal_name_is_an_unknown_name_to_everybody(
    place: World, people: dict[str, LiveClient], name: str
) -> None:
    (picture,) = await put(place, original_of("owner", 1.0, generation_status="failed"))
    for person in people.values():
        for home in HOMES:
            for call in (person.query_once, person.mutation, person.action):
                said = []
                for path in (f"{home}:{name}", f"{home}:{NOT_THERE}"):
                    with pytest.raises(Refusal) as refusal:
                        await call(path, imageId=picture.id)
                    assert refusal.value.data is None
                    said.append(refusal.value.message.replace(path, "..."))
                assert said == ["Could not find public function for '...'"] * 2
    assert await one(place, type(picture), picture.id) == picture


async def test_an_answer_follows_its_reader_not_its_socket(place: World) -> None:
    async with world_client(place, "member") as person:
        count = await person.watch("images:getGalleryImagesCount")
        (picture,) = await put(place, result_of("owner", 1.0))
        featured = await person.watch("images:getPublicGallery", **PAGE)
        assert picture.id not in str(featured.value)
        await person.sign_in(await place.token("owner"))
        await count.until(lambda value: value > 0)
        await person.sign_in(None)
        with pytest.raises(Refusal):
            await count.until(lambda value: False)


async def _code(person: LiveClient, kind: str, path: str, args: Value) -> str:
    try:
        await _call(person, kind, path, args)
    except Refusal as refusal:
        return refusal.code or refusal.message
    return OK


async def _call(person: LiveClient, kind: str, path: str, args: Value) -> Value:
    call = {"query": person.query_once, "mutation": person.mutation, "action": person.action}[kind]
    return await call(path, **args)
