from __future__ import annotations

from edgebuild.errors import Problem
from edgebuild.verbs.check import SHOWN, shortened


def test_of_many_problems_of_one_kind_the_first_are_shown_and_the_rest_counted() -> None:
    same = [Problem(file=f"{number:03}.txt", line=1, message="5 columns") for number in range(100)]
    other = Problem(file="099.txt", line=2, message="class 9")
    found = shortened([*reversed(same), other])
    assert [problem.file for problem in found] == [f"{number:03}.txt" for number in range(SHOWN)] + [
        "099.txt"
    ]
    assert found[SHOWN - 1].message == "5 columns (and 95 more of these)"
    assert found[SHOWN:] == [other]
    assert shortened(same[:SHOWN]) == same[:SHOWN]
