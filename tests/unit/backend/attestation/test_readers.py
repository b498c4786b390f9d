"""The readers of CBOR and DER take one encoding for one value, and know one error."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unbroken.backend.attestation import Reason, Refused, cbor, der
from unbroken.testing.attestation import encoding

NESTED = {"a": [{"b": [b"x"]}]}


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ("00", 0),
        ("17", 23),
        ("1818", 24),
        ("1b7fffffffffffffff", 2**63 - 1),
        ("26", -7),
        ("40", b""),
        ("42cafe", b"\xca\xfe"),
        ("63e282ac", "€"),
        ("8201820203", [1, [2, 3]]),
        ("a201020326", {1: 2, 3: -7}),
        ("a161618161", None),
    ],
)
def test_cbor_reads(data, value):
    if value is None:
        with pytest.raises(Refused):
            cbor.read(bytes.fromhex(data))
    else:
        assert cbor.read(bytes.fromhex(data)) == value


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "nothing"),
        ("0000", "bytes after the end"),
        ("1800", "a number in more bytes than it needs"),
        ("190018", "the same"),
        ("1a0000ffff", "the same"),
        ("5803ffffff", "a length in more bytes than it needs"),
        ("5f41ff41ffff", "indefinite bytes"),
        ("7f6161ff", "indefinite text"),
        ("9fff", "an indefinite array"),
        ("bfff", "an indefinite map"),
        ("1c", "a reserved length"),
        ("1c" + 16 * "ff", "the same, with bytes behind it"),
        ("5f" + 128 * "ff", "an indefinite length, with bytes behind it"),
        ("1affffff", "a cut head"),
        ("42ff", "cut bytes"),
        ("61ff", "text that is not UTF-8"),
        ("c0657768656e21", "a tag"),
        ("f4", "false"),
        ("f6", "null"),
        ("f7", "undefined"),
        ("fb3ff0000000000000", "a float"),
        ("a2010201ff", "a cut map"),
        ("a201020103", "a key twice"),
        ("a1410100", "a key of bytes"),
        ("a18001", "a key that is an array"),
        ("8181818181", "cut, and too deep"),
        ("818181818100", "five levels"),
        ("9b7fffffffffffffff", "an array of exabytes"),
        ("bb7fffffffffffffff", "a map of exabytes"),
        ("5b7fffffffffffffff", "bytes of exabytes"),
        ("a1", "a map without its entry"),
    ],
)
def test_cbor_refuses(data, why):
    with pytest.raises(Refused) as caught:
        cbor.read(bytes.fromhex(data))
    assert caught.value.code == Reason.MALFORMED, why


def test_cbor_reads_four_levels():
    assert cbor.read(encoding.cbor(NESTED)) == NESTED


@pytest.mark.parametrize(
    ("data", "value"),
    [("020100", 0), ("02017f", 127), ("02020080", 128), ("0201ff", -1), ("02087fffffffffffffff", 2**63 - 1)],
)
def test_der_reads_integers(data, value):
    assert der.integer_of(der.read_element(bytes.fromhex(data))) == value


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("", "nothing"),
        ("02", "no length"),
        ("0201", "no content"),
        ("02010000", "bytes after the end"),
        ("0200", "an integer without bytes"),
        ("02020001", "an integer in more bytes than it needs"),
        ("0202ff80", "the same, negative"),
        ("020a00ffffffffffffffffff", "an integer of ten bytes"),
        ("02800000", "an indefinite length"),
        ("02810100", "a length in more bytes than it needs"),
        ("0282000100", "the same"),
        ("02820080" + 128 * "01", "the same, of a length that needs one byte"),
        ("0281", "a cut length"),
        ("028201", "the same"),
        ("0283010000", "more than there is"),
        ("0284000000010000", "a length of four bytes"),
        ("02ff", "a reserved length"),
        ("0301ff", "another tag"),
    ],
)
def test_der_refuses_integers(data, why):
    with pytest.raises(Refused) as caught:
        der.integer_of(der.read_element(bytes.fromhex(data)))
    assert caught.value.code == Reason.MALFORMED, why


@pytest.mark.parametrize(
    "data", ["010101", "010180", "0100", "01020000", "020100"], ids=["one", "80", "empty", "two", "integer"]
)
def test_der_refuses_booleans_that_are_neither(data):
    with pytest.raises(Refused):
        der.boolean_of(der.read_element(bytes.fromhex(data)))


@pytest.mark.parametrize(
    "data",
    ["bf1e00", "bf8000", "bf801f00", "bfffffffff7f00", "bfffffffff00", "bf", "bf85"],
    ids=["below 31", "zero", "leading zero", "too large", "too large, cut", "cut", "cut later"],
)
def test_der_refuses_high_tag_numbers_that_are_not_the_shortest(data):
    with pytest.raises(Refused):
        der.read_element(bytes.fromhex(data))


def test_der_refuses_a_member_that_reaches_beyond_its_sequence():
    with pytest.raises(Refused):
        der.members_of(der.read_element(bytes.fromhex("3003020500")))


@pytest.mark.parametrize("number", [1, 30, 31, 127, 128, 702, 16_383, 16_384, 2**21 - 1])
def test_der_reads_tags_of_any_number(number):
    element = der.read_element(encoding.tagged(number, encoding.integer(5)))
    assert element.number == number
    assert der.integer_of(der.read_element(element.content)) == 5


CBOR_LEAVES = st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=40) | st.text(max_size=10)
CBOR_VALUES = st.recursive(
    CBOR_LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3) | st.integers(-9, 9), inner, max_size=4)
    ),
    max_leaves=12,
)


def depth(value):
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 1 + max(map(depth, value.values()), default=0) if isinstance(value, dict) else 0


@given(CBOR_VALUES)
@settings(deadline=None, max_examples=60)
def test_cbor_reads_back_what_was_written(value):
    data = encoding.cbor(value)
    if depth(value) <= cbor.DEPTH_MAX:
        assert cbor.read(data) == value
    else:
        with pytest.raises(Refused):
            cbor.read(data)


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_what_cbor_reads_is_written_in_one_way(data):
    try:
        value = cbor.read(data)
    except Refused:
        return
    assert encoding.cbor(value) == data


@given(st.binary(max_size=60))
@settings(deadline=None)
def test_der_elements_cover_their_content(data):
    try:
        elements = der.read_elements(data)
    except Refused:
        return
    assert sum(len(element.content) for element in elements) < max(len(data), 1)
