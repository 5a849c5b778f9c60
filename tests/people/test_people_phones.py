"""J3: a phone is recognised however it is typed, and kept only as hash, mask and seal."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bench_unit import rows_of
from tests.people.people_bench import NOON, PHONE, SECRET, Platform
from tuanzi.base.ids import CampusId, PersonId
from tuanzi.people import Keys, are_sealed_otherwise, store
from tuanzi.people.model import Person, mainland_phone, tidy_name
from tuanzi.people.problems import NameInvalid, PhoneInvalid

KEYS = Keys(SECRET)


@pytest.mark.parametrize(
    "typed",
    [
        "13800001234",
        "+8613800001234",
        "+86 138 0000 1234",
        "0086-138-0000-1234",
        "86 13800001234",
        "１３８００００１２３４",
    ],
)
def test_a_mainland_number_is_the_same_however_it_is_typed(typed: str) -> None:
    assert mainland_phone(typed) == "13800001234"


@pytest.mark.parametrize(
    "typed",
    ["", "1380000123", "138000012345", "12800001234", "+85213800001234", "13800001234\n", "1380000123a", "١٣٨٠٠٠٠١٢٣٤"],
)
def test_anything_else_is_refused_without_naming_it(typed: str) -> None:
    with pytest.raises(PhoneInvalid) as refusal:
        mainland_phone(typed)

    assert refusal.value.facts == {}


def test_a_sealed_phone_shows_only_its_mask_and_is_read_again_with_the_secret() -> None:
    sealed = KEYS.seal("+86 138 0000 1234")

    assert sealed.masked == "138****1234"
    assert PHONE not in repr(sealed)
    assert "00001234" not in repr(sealed)
    assert KEYS.unseal(sealed.sealed) == PHONE
    assert sealed == KEYS.seal(PHONE)


def test_another_secret_finds_nothing_and_reads_nothing() -> None:
    from cryptography.exceptions import InvalidTag

    other = Keys(b"x" * 32)

    assert other.seal(PHONE).hash != KEYS.seal(PHONE).hash
    with pytest.raises(InvalidTag):
        other.unseal(KEYS.seal(PHONE).sealed)


def test_the_mark_that_codes_are_counted_by_is_not_the_hash_a_person_is_found_by() -> None:
    sealed = KEYS.seal(PHONE)

    assert len({sealed.hash, sealed.mark, KEYS.mark_address(PHONE)}) == 3


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Keys(b"x" * 31)


def test_a_client_is_his_ipv4_address_or_his_ipv6_network() -> None:
    assert KEYS.mark_address("10.0.0.1") != KEYS.mark_address("10.0.0.2")
    assert KEYS.mark_address("::ffff:10.0.0.1") == KEYS.mark_address("10.0.0.1")
    assert KEYS.mark_address("2001:db8::1") == KEYS.mark_address("2001:db8::2")
    assert KEYS.mark_address("2001:db8::1") != KEYS.mark_address("2001:db8:0:1::1")
    assert "10.0.0.1" not in KEYS.mark_address("10.0.0.1")
    assert KEYS.mark_address("testclient") != KEYS.mark_address("elsewhere")


def test_a_code_is_six_digits_of_its_challenge_and_phone() -> None:
    code = KEYS.code_of("v_1", phone_hash="h")

    assert len(code) == 6
    assert code.isdecimal()
    assert code == Keys(SECRET).code_of("v_1", phone_hash="h")
    assert code != KEYS.code_of("v_2", phone_hash="h")
    assert code != KEYS.code_of("v_1", phone_hash="i")


def test_a_name_is_tidied_and_bounded() -> None:
    assert tidy_name("  小团子 ") == "小团子"
    assert tidy_name("") == ""
    assert tidy_name("字" * 20) == "字" * 20
    for wrong in ("字" * 21, "a\u202eb", "a\nb", "a\x00b"):
        with pytest.raises(NameInvalid):
            tidy_name(wrong)


@pytest.mark.parametrize(
    ("sealed_by", "is_otherwise"),
    [
        ("", False),
        ("o", True),
        ("oh", False),
        ("o" * 150 + "h", False),
        ("h" + "o" * 150, False),
        ("o" * 300, True),
    ],
)
def test_a_house_is_known_by_one_of_its_first_or_newest_people(sealed_by: str, is_otherwise: bool) -> None:
    """h: under the secret of the house, o: under another one."""
    keys = {"h": KEYS, "o": Keys(b"another secret than the house has, by mistake")}
    unit = Platform().unit
    for i, key in enumerate(sealed_by):
        phone = keys[key].seal(f"138{i:08}")
        person = Person(
            id=PersonId(f"p{i:04}"),
            campus_id=CampusId("beijing"),
            roles=(),
            phone_hash=phone.hash,
            phone_masked=phone.masked,
            phone_sealed=phone.sealed,
            joined_at=NOON,
        )
        unit.add(person)

    def ask(sql: str) -> list[tuple[Any, ...]]:
        return rows_of(unit, store.TABLES, "platform", sql, None)

    assert are_sealed_otherwise(ask, keys=KEYS) is is_otherwise
