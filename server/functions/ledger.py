"""The credit ledger: every movement once, under its idempotency key, together with the balance.

Invariant: for every user at every commit, `credits` is the sum of the ledger's amounts and not below zero. What refunds could
not take back for that reason is in `credits_owed`, and whatever is granted or returned later pays it first.
"""

from __future__ import annotations

from jobs.queue import of_subject
from schema.billing import BILLING_SETTINGS_ID, BillingSettings, LedgerEntry, LedgerKind
from schema.images import Image
from schema.reader import Reader
from schema.system import Job
from schema.users import User
from schema.values import Id
from schema.writer import Writer
from server.errors import InsufficientCredits

SETTLING: frozenset[LedgerKind] = frozenset({"order", "refund"})
"""What settles debt. A trial is a gift, and an administrator's adjustment is exact."""


async def billing_settings(db: Reader) -> BillingSettings:
    """The settings in force."""
    return await db.get(BillingSettings, BILLING_SETTINGS_ID) or BillingSettings()


async def find_user(db: Reader, subject: str) -> User | None:
    """The member with this subject."""
    return await db.one(User.by_user_id.eq(user_id=subject))


async def ensure_user(db: Writer, subject: str) -> User:
    """The member, created with the trial credits on first sight."""
    user = await find_user(db, subject)
    if user is not None:
        return user
    user = await db.insert(User(user_id=subject, credits=0, created_at=db.now, updated_at=db.now))
    trial = (await billing_settings(db)).free_trial_credits
    if trial == 0 or await db.exists(LedgerEntry.by_key.eq(key=f"trial:{subject}")):
        return user  # somebody who left and came back has had their trial
    return await move(db, user, trial, "trial", key=f"trial:{subject}")


async def close(db: Writer, user: User) -> None:
    """End a member's account: what is left of the balance is written off, the movements stay, the member goes."""
    if user.credits:
        user = await move(db, user, -user.credits, "adjustment", key=f"closing:{user.id}")
    await db.delete(user)


async def move(
    db: Writer,
    user: User,
    amount: int,
    kind: LedgerKind,
    *,
    key: str,
    image_id: Id[Image] | None = None,
    order_id: str | None = None,
) -> User:
    """Write one movement and the balance it leaves, and settle what is owed. The key's index refuses what is written already.

    Raises `InsufficientCredits` when the balance would fall below zero, `NotUnique` the second time.
    """
    balance = user.credits + amount
    if balance < 0:
        raise InsufficientCredits(needed=-amount, available=user.credits)
    await db.insert(
        LedgerEntry(
            user_id=user.user_id,
            kind=kind,
            amount=amount,
            balance_after=balance,
            key=key,
            created_at=db.now,
            image_id=image_id,
            order_id=order_id,
        )
    )
    user = await db.patch(user, credits=balance, updated_at=db.now)
    return await _settle(db, user, amount, key) if kind in SETTLING and amount > 0 and user.credits_owed else user


async def _settle(db: Writer, user: User, granted: int, key: str) -> User:
    """Pay what the member owes out of what was granted under `key`."""
    owed = user.credits_owed or 0
    paid = min(owed, granted)
    user = await db.patch(user, credits_owed=owed - paid or None)
    return await move(db, user, -paid, "order_refund", key=f"settled:{key}")


async def spend_on(db: Writer, user: User, image_id: Id[Image], job_id: str) -> User:
    """Pay for one generation."""
    return await move(db, user, -1, "spend", key=f"generation:{job_id}", image_id=image_id)


async def return_for(db: Writer, image: Image) -> bool:
    """Give back the credit that is spent on an original, once; false when none is, or when its member is gone."""
    paid = await paying_job(db, image)
    user = None if image.user_id is None else await find_user(db, image.user_id)
    if paid is None or user is None:
        return False
    await move(db, user, 1, "refund", key=f"refund:{paid.id}", image_id=image.id)
    return True


async def paying_job(db: Reader, image: Image) -> Job | None:
    """The job that an original's credit was spent on and not returned for; there is never more than one."""
    for job in await of_subject(db, image.id):
        spent = await db.exists(LedgerEntry.by_key.eq(key=f"generation:{job.id}"))
        if spent and not await db.exists(LedgerEntry.by_key.eq(key=f"refund:{job.id}")):
            return job
    return None
