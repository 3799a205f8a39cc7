# Owns: the tests of the CBOR that CloudWatch's callers speak. Must not: start a server. Invariant: vectors are RFC 8949's own.
"""CBOR, there and back."""

from __future__ import annotations

import unittest

from local_ec2.cbor import dump, load


class Vectors(unittest.TestCase):
    def test_what_the_standard_shows_is_read(self) -> None:
        for data, value in [
            ("00", 0), ("17", 23), ("1864", 100), ("1b000000e8d4a51000", 1000000000000), ("3863", -100), ("f90001", 5.960464477539063e-8),
            ("fa47c35000", 100000.0), ("fb3ff199999999999a", 1.1), ("f4", False), ("f5", True), ("f6", None), ("6449455446", "IETF"),
            ("62c3bc", "ü"), ("83010203", [1, 2, 3]), ("a26161016162820203", {"a": 1, "b": [2, 3]}), ("9f018202039f0405ffff", [1, [2, 3], [4, 5]]),
            ("bf61610161629f0203ffff", {"a": 1, "b": [2, 3]}), ("7f657374726561646d696e67ff", "streaming"),
            ("c11a514b67b0", "2013-03-21T20:04:00+00:00"),
        ]:  # fmt: skip
            self.assertEqual(load(bytes.fromhex(data)), value, data)

    def test_what_is_written_reads_back_and_moments_are_tagged(self) -> None:
        value = {"Id": "m0", "Values": [5, 1.5], "More": None, "Many": "x" * 300, "Yes": True}
        self.assertEqual(load(dump(value)), value)
        self.assertEqual(load(dump({"Timestamps": [0]})), {"Timestamps": ["1970-01-01T00:00:00+00:00"]})
