"""Routes in this process's memory."""

from __future__ import annotations

from itertools import islice
from sys import intern

from tenantry.errors import InvalidArgument
from tenantry.model.topology import Place, Route

#: When the cache is full, this part of it goes at once: the oldest routes of the index that has most.
_EVICTED_SHARE = 64


class MemoryRouteCache:
    """`tenantry.ports.RouteCache` in dictionaries: one for each index, so that a look-up makes no key.

    Guarantees:

    - A route is never replaced by one of a lower epoch.
    - Nor after `forget`: a slow reader that loaded the route before it was forgotten cannot put it back over
      anything newer, for `forget` keeps the epoch and `put` ignores lower ones. An equal epoch is let in, for that
      is the same route. (If the catalog itself goes back, as after a restore, lower epochs stay uncached until the
      process starts anew; look-ups are then slower, not wrong.)
    - At most ``max_routes`` routes, and as many kept epochs. Past that the oldest go, in the order in which they
      came or last changed, some at a time; what is used often is not spared, but comes back with one catalog read.
      Only an eviction forgets the epoch too: long after the route came in, unless the cache is far too small.

    Memory: about 190 bytes a route with a name of 13 characters. Used from one thread.

    Args:
        max_routes: 1 or more.
    """

    __slots__ = ("_count", "_floors", "_max_routes", "_routes")

    def __init__(self, max_routes: int = 1_000_000) -> None:
        if max_routes < 1:
            raise InvalidArgument("max_routes", max_routes, "1 or more")
        self._max_routes = max_routes
        self._count = 0
        self._routes: dict[str, dict[str, Route]] = {}
        self._floors: dict[tuple[str, str], int] = {}

    def get(self, index: str, tenant: str) -> Route | None:
        """The cached route, or None. Two dictionary look-ups."""
        try:
            return self._routes[index].get(tenant)
        except KeyError:
            return None

    def put(self, index: str, tenant: str, route: Route) -> None:
        """Keep the route, unless one with a higher epoch is kept or was forgotten."""
        routes = self._routes.setdefault(index, {})
        old = routes.pop(tenant, None)  # a route that changes becomes the youngest
        if old is None:
            if self._floors and self._floors.get((index, tenant), 0) > route.epoch:
                return
            self._floors.pop((index, tenant), None)
            if self._count >= self._max_routes:
                self._evict()
            self._count += 1
        elif old.epoch > route.epoch:
            route = old
        routes[tenant] = _compact(tenant, route)

    def forget(self, index: str, tenant: str) -> None:
        """Drop the route, but remember its epoch; the next look-up goes to the catalog."""
        old = self._routes.get(index, {}).pop(tenant, None)
        if old is None:
            return
        self._count -= 1
        if len(self._floors) >= self._max_routes:
            for key in list(islice(self._floors, self._max_routes // _EVICTED_SHARE + 1)):
                del self._floors[key]
        self._floors[index, tenant] = old.epoch

    def clear(self) -> None:
        """Drop every route; their epochs are not kept, since whoever read one of them before must not use it now."""
        self._routes.clear()
        self._floors.clear()
        self._count = 0

    def __len__(self) -> int:
        """Number of cached routes."""
        return self._count

    def _evict(self) -> None:
        # Many at once: finding the first key of a dictionary means walking over all those deleted before it.
        fullest = max(self._routes.values(), key=len)
        oldest = list(islice(fullest, self._max_routes // _EVICTED_SHARE + 1))
        for tenant in oldest:
            del fullest[tenant]
        self._count -= len(oldest)


def _compact(tenant: str, route: Route) -> Route:
    """The same route, sharing its shard's name with other routes and its namespace with the tenant's name."""
    place = route.place
    if place.namespace is tenant or place.namespace != tenant:
        return route
    return Route(route.epoch, Place(intern(place.shard), tenant), route.mode, route.other, route.state, route.plan)
