"""What `make audit` makes of a report."""

import sys
from datetime import date
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "audit"))
from audit import HERE, IgnoredError, ignored_in, judge

TODAY = date(2026, 11, 26)
HOLE = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.0"], "description": "bad"}
ENTRY = {"id": "CVE-1", "package": "one", "reason": "not reached", "until": TODAY}


def report(*vulns, name="one"):
    clean = {"name": "clean", "version": "1", "vulns": []}
    return {"dependencies": [clean, {"name": name, "version": "1.0", "vulns": list(vulns)}]}


def test_a_hole_is_found_with_what_mends_it():
    verdict = judge(report(HOLE), [], TODAY)
    assert (verdict.audited, verdict.found) == (2, ["one 1.0: PYSEC-1, mended in 2.0"])
    assert judge(report(), [], TODAY).found == []


def test_what_was_not_looked_up_is_not_clean():
    skipped = {"dependencies": [{"name": "one", "skip_reason": "not found"}]}
    verdict = judge(skipped, [], TODAY)
    assert (verdict.audited, verdict.unknown, verdict.found) == (0, ["one"], [])


def test_it_is_ignored_for_its_package_by_any_of_its_names_until_its_day():
    assert judge(report(HOLE), [ENTRY], TODAY).found == []
    assert "not reached" in judge(report(HOLE), [ENTRY], TODAY).waived[0]
    assert judge(report(HOLE, name="two"), [ENTRY], TODAY).found
    (late,) = judge(report(HOLE), [ENTRY], date(2026, 11, 27)).found
    assert "look again" in late


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[ignored]]\nid = "CVE-1"', "needs id, package, reason, until"),
        ('[[ignored]]\nid = "CVE-1"\npackage = "one"\nreason = " "\nuntil = 2027-01-01', "reason"),
        ('[[ignored]]\nid = "CVE-1"\npackage = "one"\nreason = "x"\nuntil = "soon"', "until"),
    ],
)
def test_an_entry_needs_a_reason_and_an_end(text, said):
    with pytest.raises(IgnoredError, match=said):
        ignored_in(text)


def test_the_list_that_is_there_is_right():
    ignored_in((HERE / "ignored.toml").read_text())
