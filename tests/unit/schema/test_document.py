"""Documents, tables and indexes: declared once, checked at import, read by equality on a prefix and one range."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from schema.document import TABLES, Document, Index, IndexOf, Range, Table, index, table, table_of
from schema.keys import BY_ID, LAST, KeyRange, after, key_of
from schema.values import Id


class Pet(Document, frozen=True, kw_only=True):
    """A document of these tests; its table is declared by the fixture below."""

    owner_id: str
    born_at: float | None = None
    tag: str | None = None
    is_good: bool = True

    by_owner = index("owner_id", "born_at")
    by_tag = index("tag", name="tags", unique_when=("is_good", True))
    by_born = index("born_at", unique=True)


@pytest.fixture
def pets(monkeypatch: pytest.MonkeyPatch) -> Table:
    """The table of `Pet`, declared for one test."""
    monkeypatch.setattr("schema.document.TABLES", {})
    table("pets", expires_by="born_at")(Pet)
    return table_of(Pet)


def test_a_table_knows_its_document_and_indexes(pets: Table) -> None:
    assert (pets.name, pets.document, pets.ttl_field) == ("pets", Pet, "bornAt")
    assert list(pets.indexes) == ["by_ownerId_and_bornAt", "tags", "by_bornAt"]
    assert [pets.index_length(name) for name in (BY_ID, *pets.indexes)] == [1, 3, 2, 2]


def test_a_table_need_not_expire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.document.TABLES", {})
    assert table("pets")(Pet) is Pet
    assert table_of(Pet).ttl_field is None


def test_a_table_is_declared_once(pets: Table) -> None:
    with pytest.raises(TypeError, match="the table pets is declared twice"):
        table("pets")(Pet)
    assert pets.name not in TABLES


def test_an_index_names_fields_that_exist() -> None:
    class Typo(Document, frozen=True, kw_only=True):
        owner_id: str

        by_owner = index("owner", "age", "owner_id")

    with pytest.raises(TypeError, match=r"typos\.by_owner_and_age_and_ownerId names .* not exist: owner, age$"):
        table("typos")(Typo)
    assert "typos" not in TABLES


def test_documents_use_wire_names_and_leave_nothing_implied() -> None:
    pet = Pet(id=Id("p1"), creation_time=5.0, owner_id="ana")
    assert msgspec.to_builtins(pet) == {
        "_id": "p1",
        "_creationTime": 5.0,
        "ownerId": "ana",
        "bornAt": None,
        "tag": None,
        "isGood": True,
    }


def test_an_index_seen_from_its_class(pets: Table) -> None:
    seen = Pet.by_owner
    assert isinstance(seen, IndexOf)
    assert (seen.document, seen.index) == (Pet, pets.indexes["by_ownerId_and_bornAt"])
    assert repr(seen.index) == "<Index by_ownerId_and_bornAt>"


def test_constraints_are_kept(pets: Table) -> None:
    constraints = {name: (each.unique, each.unique_when) for name, each in pets.indexes.items()}
    assert constraints == {
        "by_ownerId_and_bornAt": (False, None),
        "tags": (False, ("is_good", True)),
        "by_bornAt": (True, None),
    }


@pytest.mark.usefixtures("pets")
def test_equality_on_leading_fields() -> None:
    name = "by_ownerId_and_bornAt"
    assert Pet.by_owner.all().keys == KeyRange("pets", name, ())
    assert Pet.by_owner.eq(owner_id="ana").keys == KeyRange("pets", name, key_of("ana"))
    assert Pet.by_owner.eq(born_at=None, owner_id="ana").keys == KeyRange("pets", name, key_of("ana", None))


@pytest.mark.parametrize("values", [{"born_at": 1.0}, {"tag": "x"}, {"owner_id": "a", "born_at": 1.0, "tag": "x"}])
def test_equality_on_anything_else_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="begins with owner_id, born_at, not "):
        Pet.by_owner.eq(**values)


@pytest.mark.usefixtures("pets")
def test_one_range_after_the_prefix() -> None:
    ana = Pet.by_owner.eq(owner_id="ana")
    ends = [(each.keys.low, each.keys.high) for each in (ana, ana.at_most(5), ana.below(5), ana.at_least(5))]
    assert ends == [((), (LAST,)), ((), after(key_of(5))), ((), key_of(5)), (key_of(5), (LAST,))]
    both = ana.at_least(2).at_most(9)
    assert [both.keys.contains(key_of("ana", born, "p1")) for born in (1, 2, 9, 10)] == [False, True, True, False]


@pytest.mark.usefixtures("pets")
def test_the_direction_survives_narrowing() -> None:
    ana: Range[Pet] = Pet.by_owner.eq(owner_id="ana")
    assert not ana.at_most(5).descending
    newest = ana.newest_first()
    assert [each.descending for each in (newest, newest.at_most(5), newest.below(5), newest.at_least(5))] == [True] * 4
    assert newest.document is Pet
    assert repr(ana) == "<Range pets.by_ownerId_and_bornAt ((3, 'ana'),) ascending>"
    assert repr(newest) == "<Range pets.by_ownerId_and_bornAt ((3, 'ana'),) descending>"


def test_the_key_of_a_document_ends_with_its_id() -> None:
    by_owner: Index = Pet.by_owner.index
    assert by_owner.wire_fields == ("ownerId", "bornAt")
    assert by_owner.key({"_id": "p1", "ownerId": "ana", "bornAt": 5, "tag": "x"}) == key_of("ana", 5, "p1")


def test_the_key_of_a_whole_document_is_that_of_its_stored_fields() -> None:
    pet = Pet(id=Id("p1"), creation_time=5.0, owner_id="ana", tag="x")
    for seen in (Pet.by_owner, Pet.by_tag, Pet.by_born):
        assert seen.index.key_of(pet) == seen.index.key(msgspec.to_builtins(pet))
    assert Pet.by_owner.index.key_of(pet) == key_of("ana", None, "p1")


def test_an_absent_field_is_null_in_a_key() -> None:
    assert Pet.by_owner.index.key({"_id": "p1"}) == key_of(None, None, "p1")


def test_a_field_that_cannot_be_indexed_is_refused() -> None:
    with pytest.raises(TypeError, match="a list cannot be part of an index key"):
        Pet.by_owner.index.key({"_id": "p1", "ownerId": ["ana"]})
