"""Values as clients read and write them, there and back."""

from __future__ import annotations

import math

import msgspec
import pytest

from schema.wire import canonical_arguments, encode_value, plain, read_arguments

MINUS_ZERO = b'{"$float":"AAAAAAAAAIA="}'


def test_minus_zero_is_a_number_wherever_it_stands() -> None:
    read = read_arguments(b'{"a":%b,"b":[%b,1.0,-0],"c":{"d":2.5}}' % (MINUS_ZERO, MINUS_ZERO))
    assert repr(read) == "{'a': -0.0, 'b': [-0.0, 1, 0], 'c': {'d': 2.5}}"
    assert encode_value(read) == b'{"a":%b,"b":[%b,1.0,0.0],"c":{"d":2.5}}' % (MINUS_ZERO, MINUS_ZERO)


def test_other_specials_stay_what_they_are() -> None:
    for special in ('{"$float":"AAAAAAAA+H8="}', '{"$integer":"AQAAAAAAAAA="}', '{"$float":"AAAAAAAAAIA=","x":1}'):
        assert read_arguments(f'{{"a":{special}}}'.encode()) == {"a": msgspec.json.decode(special)}


def test_equal_calls_have_equal_bytes() -> None:
    assert canonical_arguments(b'{"b": 1.0, "a": %b}' % MINUS_ZERO) == b'{"a":%b,"b":1}' % MINUS_ZERO


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (math.nan, '"NaN"'),
        (math.inf, '"Infinity"'),
        (-math.inf, '"-Infinity"'),
        (-0.0, "-0.0"),
        (3, "3.0"),
        (b"\x00\xff", '"AP8="'),
        ({"a": [b"", {"b": 0.1}]}, '{"a":["",{"b":0.1}]}'),
        ("$float", '"$float"'),
    ],
    ids=repr,
)
def test_plain_is_what_json_has_words_for(value: object, text: str) -> None:
    assert plain(encode_value(value)) == text.encode()


@pytest.mark.parametrize("number", [0, 1, -1, 2**53, -(2**63), 2**63 - 1])
def test_an_int64_is_its_digits(number: int) -> None:
    octets = msgspec.json.encode(number.to_bytes(8, "little", signed=True)).decode()
    assert plain(f'{{"a":{{"$integer":{octets}}}}}'.encode()) == f'{{"a":"{number}"}}'.encode()
