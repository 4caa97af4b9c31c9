"""Shares of a shard: by time and weight, of late, and never of one that is alone."""

from tenantry.router.shares import HALF_S, Shares


def test_over_is_who_used_more_than_half_as_much_again_as_its_share():
    shares = Shares()
    for name, seconds in (("a", 0.31), ("b", 0.1), ("c", 0.1), ("d", 0.1)):
        shares.use(name, 1, seconds, 0.0)  # a quarter each is 0.1525; 1.5 times that is 0.229
    assert [shares.over(name, 0.1) for name in "abcd"] == [True, False, False, False]
    assert not shares.over("who never came", 0.1)


def test_a_share_is_by_weight():
    shares = Shares()
    shares.use("pro", 4, 0.4, 0.0)
    shares.use("free", 1, 0.1, 0.0)
    assert not shares.over("pro", 0.1)
    shares.use("free", 1, 0.1, 0.1)
    assert shares.over("free", 0.1)  # 0.2 of 0.6 for a fifth, 0.12
    shares.use("free", 4, 0.0, 0.1)  # a better plan
    assert not shares.over("free", 0.1)


def test_one_that_is_alone_is_never_over():
    shares = Shares()
    for turn in range(10):
        shares.use("a", 1, 1.0, turn * 0.1)
        assert not shares.over("a", turn * 0.1)


def test_use_counts_half_after_a_while_and_then_not_at_all():
    shares = Shares()
    shares.use("a", 1, 0.3, 0.0)
    shares.use("b", 1, 0.05, 0.0)
    assert shares.over("a", 0.0)
    shares.use("b", 1, 0.15, HALF_S)  # 0.15 to 0.175: as good as alike
    assert not shares.over("a", HALF_S)
    shares.use("b", 1, 0.1, 2 * HALF_S)
    assert not shares.over("a", 2 * HALF_S)  # used nothing in a whole half-life


def test_after_a_pause_all_is_forgotten():
    shares = Shares()
    shares.use("a", 1, 0.3, 0.0)
    shares.use("b", 1, 0.05, 0.0)
    shares.use("b", 1, 0.05, 10.0)
    assert not shares.over("a", 10.0)
    assert not shares.over("b", 10.0)
