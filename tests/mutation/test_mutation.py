"""The run that breaks the code: which faults it makes, and whom it asks."""

from __future__ import annotations

import textwrap

import pytest

from tests.mutation.faults import faults_of, readers_of, told_apart
from tests.mutation.reach import Reach, Test

SOURCE = textwrap.dedent(
    '''
    def first(path, limit=3, *, keep=False):
        """Text stays as it is: 1 < 2."""
        if path:
            raise ValueError(f"{limit + 1}")
        total = max(limit * 0.5, len(path) - 1)
        logger.info("told %d", 3)
        write(path, total, force=keep)
        zip(path, path, strict=True)
        return total
    '''
)
EXPECTED = {
    "limit=3 -> limit=4",
    "keep=False -> keep=True",
    "if path: -> if not (path):",
    'raise ValueError(f"{limit + 1}") -> pass',
    "max(limit * 0.5, len(path) - 1) -> min(limit * 0.5, len(path) - 1)",
    "limit * 0.5 -> (limit / 0.5)",
    "limit * 0.5 -> limit * 1.0",
    "len(path) - 1 -> (len(path) + 1)",
    "len(path) - 1 -> len(path) - 2",
    "write(path, total, force=keep) -> pass",
    "zip(path, path, strict=True) -> pass",
    "force=keep) -> )",
    "return total -> return None",
}


def test_the_faults_of_a_function() -> None:
    content = SOURCE.encode()
    broken = {fault.apply(content).decode() for fault in faults_of("x.py", content)}
    expected = set()
    for change in EXPECTED:
        old, _, new = change.partition(" -> ")
        old, new = (", force=keep)", ")") if old == "force=keep)" else (old, new)
        assert SOURCE.count(old) == 1, old
        expected.add(SOURCE.replace(old, new))
    assert expected <= broken
    assert not any("strict=False" in text or "zip(path, path)" in text for text in broken)
    assert SOURCE.replace("max(limit * 0.5, len(path) - 1)", "max(len(path) - 1, limit * 0.5)") not in broken
    assert all("told %d" in text and "1 < 2" in text and '("told %d", 3)' in text for text in broken)


@pytest.mark.parametrize(
    ("change", "same"), [(("\n    if path", "\n\n    # a comment\n    if path"), True), (("0.5", "0.7"), False)]
)
def test_a_fault_is_known_again_where_code_moves_and_not_where_it_changes(change: tuple[str, str], same: bool) -> None:
    moved = SOURCE.replace(*change)
    assert moved != SOURCE
    before, after = ({fault.identity for fault in faults_of("x.py", text.encode())} for text in (SOURCE, moved))
    assert (before == after) is same
    assert before & after


def test_a_fault_is_known_again_in_another_file_and_told_apart_from_its_like_in_a_second() -> None:
    of_one, of_other = (faults_of(path, SOURCE.encode()) for path in ("x.py", "folder/y.py"))
    identities = [fault.identity for fault in of_one]
    assert [fault.identity for fault in of_other] == identities
    apart = told_apart([*of_one, *of_other])
    assert [fault.identity for fault in apart[: len(of_one)]] == identities
    assert len({fault.identity for fault in apart}) == len(apart)
    assert [(fault.path, fault.old) for fault in apart] == [(fault.path, fault.old) for fault in (*of_one, *of_other)]


def test_constants_of_two_variables_are_two_faults_by_their_names() -> None:
    one, other = (faults_of("x.py", text.encode())[0] for text in ("A = 3", "B: int = 3"))
    again = faults_of("x.py", b"B: int = 3\nA = 3")
    assert [fault.identity for fault in again] == [other.identity, one.identity]
    assert one.identity != other.identity


def test_what_is_made_at_an_import_is_told_by_whoever_reads_it() -> None:
    source = textwrap.dedent(
        """
        LIMIT = 3


        class Setting:
            size: Annotated[int, Field(ge=1)] = 7


        def first(limit=5):
            total = 9
            return total
        """
    )
    read = {fault.old: (fault.variable, fault.body) for fault in faults_of("x.py", source.encode())}
    assert read["3"] == ("LIMIT", 0)
    assert read["1"] == read["7"] == read["Field(ge=1)"] == ("size", 0)
    assert read["5"] == ("", 11)
    assert read["9"] == ("", 0)


def test_who_reads_what_is_made_at_an_import() -> None:
    source = textwrap.dedent(
        """
        BANDS = (1, 2)
        WIDE: int = len(BANDS)
        OTHER = 3


        class Reader:
            size = WIDE

            def of(self):
                return self.size


        def first():
            return OTHER, BANDS
        """
    )
    assert readers_of("BANDS", source.encode()) == [11, 15]
    assert readers_of("OTHER", source.encode()) == [15]


def test_who_executes_a_line_is_asked_first_and_then_who_shares_what_does() -> None:
    server = "fixture tests::server"
    reach = Reach(
        lines={"x.py": {1: frozenset({"slow", "quick"}), 2: frozenset({server, "slow"}), 3: frozenset()}},
        tests={
            "slow": Test(3.0, ()),
            "quick": Test(0.1, ()),
            "user": Test(0.1, (server,)),
            "other user": Test(0.2, (server,)),
            "stranger": Test(0.1, ("fixture tests::model",)),
        },
    )
    assert reach.tests_of("x.py", ("x.py", 1)) == ["quick", "slow", "user", "other user"]
    assert reach.tests_of("x.py", ("x.py", 2)) == ["slow", "user", "other user", "quick"]
    assert reach.tests_of("x.py", ("x.py", 3)) == ["quick", "slow", "user", "other user"]  # only an import executes it
    assert reach.tests_of("x.py", ("x.py", 3), ("x.py", 2))[:3] == ["slow", "user", "other user"]
    assert reach.tests_of("y.py", ("y.py", 1)) == []


def test_a_file_s_own_tests_are_asked_first() -> None:
    names = ["tests/a/test_z.py::one", "tests/ser/b/test_z.py::one", "tests/ser/b/test_x.py::one", "tests/c.py::one"]
    path = "ser/b/x.py"
    reach = Reach({path: {1: frozenset(names)}}, {name: Test(number, ()) for number, name in enumerate(names)})
    assert reach.tests_of(path, (path, 1)) == [names[2], names[1], names[0], names[3]]
