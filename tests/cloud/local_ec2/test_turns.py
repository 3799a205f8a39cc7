# Owns: that turns are taken, and that Docker's time is nobody's turn. Must not: need Docker or moto.
"""`turns`."""

from __future__ import annotations

import threading
import unittest

from .turns import aside, in_moto


class Turns(unittest.TestCase):
    def test_one_waits_for_the_other_but_not_for_its_docker(self) -> None:
        said: list[str] = []
        inside, other_done, go = threading.Event(), threading.Event(), threading.Event()

        @aside
        def docker() -> None:
            inside.set()
            self.assertTrue(other_done.wait(20), "the other got its turn meanwhile")
            said.append("docker")

        def first() -> None:
            with in_moto():
                docker()
                go.set()
                said.append("first")

        def other() -> None:
            inside.wait(20)
            with in_moto():
                said.append("other")
            other_done.set()
            go.wait(20)
            with in_moto():
                said.append("after")

        threads = [threading.Thread(target=one) for one in (first, other)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(30)
        self.assertEqual(said, ["other", "docker", "first", "after"])

    def test_without_a_turn_nothing_is_given_back(self) -> None:
        self.assertEqual(aside(lambda: 7)(), 7)
        with in_moto():
            pass


if __name__ == "__main__":
    unittest.main()
