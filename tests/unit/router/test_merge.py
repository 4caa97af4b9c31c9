"""The merge, and the proof that nothing is hidden, against looking at everything."""

from hypothesis import given
from hypothesis import strategies as st

from tenantry.model.records import Hit
from tenantry.router.scatter.merge import Part, TenantHit, key_of, merged, open_parts

#: Few scores, so that ties are common.
PARTS = st.lists(st.lists(st.integers(0, 5), max_size=12), min_size=1, max_size=6)


def made(parts):
    """Each part is a tenant; its hits in the order of the search."""
    return [
        sorted((TenantHit(f"t{t}", Hit(f"r{i:02}", float(score))) for i, score in enumerate(scores)), key=key_of)
        for t, scores in enumerate(parts)
    ]


def names(hits):
    return [(one.tenant, one.hit.id) for one in hits]


@given(PARTS, st.integers(1, 30), st.data())
def test_what_is_proven_is_right(parts, most, data):
    whole = made(parts)
    wants = [data.draw(st.integers(1, most)) for _ in whole]
    given_ = [Part(hits[:want], want) for hits, want in zip(whole, wants, strict=True)]
    truth = sorted((hit for hits in whole for hit in hits), key=key_of)[:most]
    unproven = open_parts(given_, most)
    if not unproven:
        assert names(merged(given_, most)) == names(truth)
    again = [Part(whole[i][:most], most) if i in unproven else part for i, part in enumerate(given_)]
    assert open_parts(again, most) == []
    assert names(merged(again, most)) == names(truth)


@given(PARTS, st.integers(1, 4), st.integers(1, 30))
def test_pages_put_together_are_the_whole(parts, per_tenant, page):
    whole = [Part(hits, 100) for hits in made(parts)]
    for cut in (None, per_tenant):
        truth = merged(whole, 1_000, None, cut)
        found, after = [], None
        while part := merged(whole, page, after, cut):
            found += part
            after = key_of(part[-1])
        assert names(found) == names(truth)
    counts = [sum(one.tenant == f"t{t}" for one in truth) for t in range(len(parts))]
    assert counts == [min(per_tenant, len(part)) for part in parts]
