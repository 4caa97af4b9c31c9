"""Which backups are kept."""

from datetime import UTC, datetime, timedelta

from tenantry.backup.manifest import Manifest, Ref, Scope, Totals, backup_id
from tenantry.backup.retention import Retention, kept

NOW = datetime(2026, 3, 18, 12, 30, tzinfo=UTC)


def made(ago: timedelta, scope: Scope = Scope()) -> Manifest:
    at = (NOW - ago).timestamp()
    ref = Ref("objects/aa/aa", "aa", 1)
    return Manifest(1, backup_id(at, f"{int(at):06x}"[-6:]), "c", scope, at, at, "0", None, ref, [], Totals())


def test_the_newest_of_each_hour_day_and_week():
    all = [made(timedelta(minutes=20 * i)) for i in range(3 * 24 * 40)]
    keep = kept(all, Retention(hourly=3, daily=2, weekly=2))
    ages = sorted(round((NOW.timestamp() - one.finished_at) / 60) for one in all if one.id in keep)
    # 12:30, 11:50, 10:50; then the last of the day before; then the last of the week before, a Sunday.
    assert ages == [0, 40, 100, 760, 3640]


def test_hours_without_a_backup_do_not_count_and_the_newest_stays():
    old = [made(timedelta(days=400)), made(timedelta(days=500))]
    assert kept(old, Retention(hourly=2, daily=0, weekly=0)) == {one.id for one in old}
    assert kept(old, Retention(0, 0, 0)) == {old[0].id}


def test_each_scope_is_counted_by_itself():
    everything, one = made(timedelta(days=3)), made(timedelta(hours=1), Scope("default", tenant="acme"))
    assert kept([everything, one], Retention(0, 0, 0)) == {everything.id, one.id}
