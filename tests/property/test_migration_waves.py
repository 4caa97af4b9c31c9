"""Waves, for any tenants and any share: each tenant once, no wave over its share, canaries first, risk in order."""

import math

from hypothesis import given
from hypothesis import strategies as st

from tenantry.control.migrate.risk import risks
from tenantry.control.migrate.waves import cut
from tenantry.model.plan import TenantLoad

RISKS = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=4), st.floats(0, 1), max_size=80)
SHARES = st.floats(0.001, 1.0)


@given(RISKS, SHARES, st.one_of(st.none(), st.integers(0, 3)))
def test_every_tenant_is_in_exactly_one_wave_and_waves_keep_to_their_share(risk, share, canaries):
    most = math.ceil(share * len(risk) - 1e-9)
    if canaries is not None and canaries > most:
        canaries = most
    waves = cut(risk, share, canaries)
    assert sorted(name for wave in waves for name in wave) == sorted(risk)
    assert all(1 <= len(wave) <= most for wave in waves)
    if canaries and risk:
        assert len(waves[0]) == canaries
    rest = waves if canaries == 0 else waves[1:]
    assert {len(wave) for wave in rest} <= {len(rest[-1]), len(rest[-1]) + 1} if rest else True
    flat = [(risk[name], name) for wave in waves for name in wave]
    assert flat == sorted(flat)


@given(RISKS, SHARES)
def test_canaries_are_one_in_fifty_and_those_of_least_risk(risk, share):
    waves = cut(risk, share)
    if not risk:
        assert waves == []
        return
    most = math.ceil(share * len(risk) - 1e-9)
    assert len(waves[0]) == min(most, 10, max(1, len(risk) // 50))
    assert max(risk[name] for name in waves[0]) <= min((risk[name] for wave in waves[1:] for name in wave), default=1)


TENANT = st.builds(
    TenantLoad,
    name=st.text("abc", min_size=1, max_size=3),
    shard=st.just("s"),
    vectors=st.integers(0, 10**9),
    load=st.floats(0, 1e6),
    moved_at=st.one_of(st.none(), st.floats(0, 2e9)),
)


@given(st.lists(TENANT, unique_by=lambda one: one.name), st.floats(0, 2e9), st.data())
def test_risk_is_a_share_and_grows_with_size_and_load(tenants, at, data):
    created = {one.name: data.draw(st.floats(0, 2e9)) for one in tenants}
    found = risks(tenants, created, at)
    assert found.keys() == {one.name for one in tenants}
    assert all(0 <= risk <= 1.000001 for risk in found.values())
    same = risks(tenants, dict.fromkeys(created, 0.0), 2e9)
    for one in tenants:
        for other in tenants:
            if one.vectors >= other.vectors and one.load >= other.load and one.moved_at == other.moved_at:
                assert same[one.name] >= same[other.name] - 1e-12
