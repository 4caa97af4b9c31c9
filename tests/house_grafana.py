"""The Grafana dashboard, made from the panels that are listed here.

Gauges are the same in every gateway (all show what the last check of the health found), hence `max by`; what each
gateway counts by itself is added up.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, statushistory, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

#: Of 24 columns; rows of the grid.
WIDE, HALF, THIRD, SIXTH = 24, 12, 8, 4
HEIGHT, LOW = 8, 4
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
ONE = 'index=~"$index"'
RATE = "[$__rate_interval]"


@dataclass(frozen=True)
class Shown:
    """One panel: what it is called, how it looks, and its queries with the names of their series.

    Attributes:
        unit: one of Grafana's (``s``, ``reqps``, ``percentunit``, ``short``...).
        about: what to read from it.
        settings: further calls of the panel's builder.
    """

    title: str
    queries: dict[str, str]
    unit: str = "short"
    about: str = ""
    kind: str = "lines"
    span: int = THIRD
    settings: dict[str, Any] = field(default_factory=dict)


def latest(metric: str, by: str = "index, shard") -> str:
    """A gauge that all gateways show."""
    return f"max by ({by}) ({metric}{{{ONE}}})"


def rate(metric: str, by: str, **labels: str) -> str:
    """A counter of all gateways, a second."""
    wanted = ", ".join([ONE, *(f'{name}="{value}"' for name, value in labels.items())])
    return f"sum by ({by}) (rate({metric}{{{wanted}}}{RATE}))"


def quantile(share: float, metric: str, by: str, **labels: str) -> str:
    """Of a histogram of all gateways."""
    by = f"{by}, le" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{metric}_bucket', by, **labels)})"


COST_PER_TENANT = (
    f"sum by (currency) ({latest('tenantry_index_cost_per_month', 'index, currency')})"
    f" / on () group_left () sum({latest('tenantry_index_tenants', 'index')})"
)
HITS = (
    f'sum(rate(tenantry_route_lookups_total{{source="cache"}}{RATE})) / sum(rate(tenantry_route_lookups_total{RATE}))'
)

AT_A_GLANCE = [
    Shown(
        "Warnings that stand",
        {"warnings": f"sum({latest('tenantry_health_warnings', 'index, kind, severity')}) or vector(0)"},
        kind="number",
        span=SIXTH,
        about="Of `tenantry health`; each has a runbook.",
    ),
    Shown("Tenants", {"tenants": f"sum({latest('tenantry_index_tenants', 'index')})"}, kind="number", span=SIXTH),
    Shown("Vectors", {"vectors": f"sum({latest('tenantry_shard_vectors')})"}, kind="number", span=SIXTH),
    Shown(
        "Queries",
        {"queries": f"sum({rate('tenantry_shard_operations_total', 'index', kind='query')})"},
        "reqps",
        kind="number",
        span=SIXTH,
    ),
    Shown(
        "P95 of queries",
        {"P95": quantile(0.95, "tenantry_shard_operation_duration_seconds", "", kind="query")},
        "s",
        kind="number",
        span=SIXTH,
    ),
    Shown(
        "Cost of a tenant",
        {"{{currency}} a month": COST_PER_TENANT},
        "currency:",
        kind="number",
        span=SIXTH,
        about="A month's bill over all tenants.",
    ),
    Shown(
        "Warnings by kind",
        {"{{index}} {{kind}} ({{severity}})": latest("tenantry_health_warnings", "index, kind, severity")},
        kind="bars",
        span=WIDE,
    ),
]
SHARDS = [
    Shown(
        "Tenants by shard",
        {"{{index}}/{{shard}}": latest("tenantry_shard_tenants")},
        kind="heat",
        span=HALF,
        about="One row a shard; a colour of its own stands out.",
    ),
    Shown("Vectors by shard", {"{{index}}/{{shard}}": latest("tenantry_shard_vectors")}, kind="heat", span=HALF),
    Shown(
        "P95 of queries by shard",
        {
            "{{index}}/{{shard}}": quantile(
                0.95, "tenantry_shard_operation_duration_seconds", "index, shard", kind="query"
            )
        },
        "s",
        span=HALF,
        about="Over 800 ms somebody is paged, over 1 s it is critical.",
    ),
    Shown(
        "Median of queries by shard",
        {
            "{{index}}/{{shard}}": quantile(
                0.5, "tenantry_shard_operation_duration_seconds", "index, shard", kind="query"
            )
        },
        "s",
        span=HALF,
    ),
    Shown(
        "Queries by shard",
        {"{{index}}/{{shard}}": rate("tenantry_shard_operations_total", "index, shard", kind="query")},
        "reqps",
    ),
    Shown(
        "Operations by kind", {"{{index}} {{kind}}": rate("tenantry_shard_operations_total", "index, kind")}, "reqps"
    ),
    Shown(
        "Failed operations by shard",
        {
            "{{index}}/{{shard}}": rate("tenantry_shard_operations_total", "index, shard", outcome="error")
            + " / "
            + rate("tenantry_shard_operations_total", "index, shard")
        },
        "percentunit",
        about="Share of operations; over 5% is critical. What a caller did wrong is not counted.",
    ),
    Shown(
        "Used share by shard",
        {"{{index}}/{{shard}}": latest("tenantry_shard_utilisation_ratio")},
        "percentunit",
        about="Of namespaces or vectors, whichever is more; over 90% is critical, under 50% may be a waste.",
    ),
    Shown(
        "Room for tenants",
        {
            "{{index}}/{{shard}}": f"{latest('tenantry_shard_max_tenants')} - {latest('tenantry_shard_tenants')}",
        },
        about="Of shards with a limit of tenants.",
    ),
    Shown(
        "Room for vectors",
        {"{{index}}/{{shard}}": f"{latest('tenantry_shard_max_vectors')} - {latest('tenantry_shard_vectors')}"},
        about="Of shards with a limit of vectors.",
    ),
    Shown("Bytes by shard", {"{{index}}/{{shard}}": latest("tenantry_shard_bytes")}, "bytes"),
    Shown("Shards that answer", {"{{index}}/{{shard}}": f"min by (index, shard) (tenantry_shard_up{{{ONE}}})"}),
    Shown(
        "Against the fair part",
        {
            "{{index}}/{{shard}}": f"{latest('tenantry_shard_vectors')} / on (index, shard) "
            f"({latest('tenantry_shard_fair_share_ratio')} * on (index) group_left () "
            f"sum by (index) ({latest('tenantry_shard_vectors')} and on (index, shard) "
            f"{latest('tenantry_shard_fair_share_ratio')}))"
        },
        about="Vectors over the part that is fair by weight: 1 is even, over 1.5 there is a warning.",
    ),
]
MOVES = [
    Shown(
        "Moves a week",
        {"{{outcome}}": f"sum by (outcome) (increase(tenantry_moves_ended_total{{{ONE}}}[$__interval]))"},
        kind="bars",
        span=HALF,
        settings={"interval": "7d", "time_from": "91d"},
        about="How the moves of each week ended.",
    ),
    Shown("Moves by phase", {"{{index}} {{phase}}": latest("tenantry_moves", "index, phase")}, span=HALF),
    Shown(
        "Pauses of writes",
        {
            "{{index}} P99": quantile(0.99, "tenantry_move_write_pause_seconds", "index"),
            "{{index}} median": quantile(0.5, "tenantry_move_write_pause_seconds", "index"),
        },
        "s",
        span=HALF,
        about="How long writes of a tenant waited at a switch of its move.",
    ),
    Shown(
        "Auto-pilot",
        {
            "{{stance}}": "max by (stance) (tenantry_autopilot_stance)",
            "has stopped": "max(tenantry_autopilot_stopped)",
        },
        span=HALF,
        about="1 for what it is allowed, and when it has stopped until somebody sets it going again.",
    ),
    Shown("Copied vectors", {"{{index}}": rate("tenantry_move_copied_vectors_total", "index")}, "cps", span=HALF),
]
COST = [
    Shown(
        "Cost of tenants",
        {
            "{{index}}/{{tenant}}": latest("tenantry_tenant_cost_per_month", "index, tenant, currency"),
            "average": COST_PER_TENANT,
        },
        "currency:",
        span=HALF,
        about="A month's, by use, of the dearest tenants; see docs/explanation/cost.md.",
    ),
    Shown(
        "Cost of shards",
        {"{{index}}/{{shard}}": latest("tenantry_shard_cost_per_month", "index, shard, currency")},
        "currency:",
        span=HALF,
    ),
    Shown(
        "Bill and budget",
        {
            "{{index}} bill": latest("tenantry_index_cost_per_month", "index, currency"),
            "{{index}} budget": latest("tenantry_index_budget_per_month", "index, currency"),
            "{{index}} of it unused": latest("tenantry_index_wasted_cost_per_month", "index, currency"),
        },
        "currency:",
        span=WIDE,
    ),
]
TENANTS = [
    Shown(
        "Busiest tenants",
        {"{{index}}/{{tenant}}": latest("tenantry_tenant_operations_per_second", "index, tenant")},
        "ops",
        span=HALF,
        about="As many as TENANTRY_METRICS_TOP_TENANTS says.",
    ),
    Shown(
        "Vectors of the busiest tenants",
        {"{{index}}/{{tenant}}": latest("tenantry_tenant_vectors", "index, tenant")},
        kind="ranks",
        span=HALF,
    ),
    Shown(
        "Vectors in the largest tenth of the tenants",
        {"{{index}}": latest("tenantry_largest_tenth_vectors_ratio", "index")},
        "percentunit",
        about="From 80% on, spreading by count does not even the shards out.",
    ),
    Shown(
        "Searches across tenants",
        {"{{index}}": latest("tenantry_cross_tenant_share_ratio", "index")},
        "percentunit",
        about="Share of all questions; over 20% shards are in the way.",
    ),
    Shown("Tenants by index", {"{{index}}": latest("tenantry_index_tenants", "index")}),
]
ROUTING = [
    Shown("Routes from the cache", {"all": HITS}, "percentunit", about="Over 99% in steady state."),
    Shown(
        "Look-ups of routes",
        {"{{source}}": f"sum by (source) (rate(tenantry_route_lookups_total{RATE}))"},
        "ops",
    ),
    Shown(
        "Disagreements of the routing",
        {
            "{{index}} that stand": latest("tenantry_routing_inconsistent", "index"),
            "{{kind}} found": f"sum by (kind) (increase(tenantry_routing_problems_total{RATE}))",
        },
    ),
    Shown("Searches by outcome", {"{{index}} {{outcome}}": rate("tenantry_searches_total", "index, outcome")}, "reqps"),
    Shown("P95 of searches", {"{{index}}": quantile(0.95, "tenantry_search_duration_seconds", "index")}, "s"),
    Shown(
        "Shards that searches lacked",
        {"{{index}}/{{shard}} {{why}}": rate("tenantry_search_missing_shards_total", "index, shard, why")},
        "ops",
    ),
    Shown(
        "Second requests to slow shards",
        {"{{index}}/{{shard}} {{first}}": rate("tenantry_search_hedges_total", "index, shard, first")},
        "ops",
    ),
    Shown(
        "Shards left out of searches",
        {"{{index}}/{{shard}}": latest("tenantry_search_breaker_open")},
        about="0 no, 0.5 trying it again, 1 yes.",
    ),
    Shown(
        "What answers searches where there is a roll-up",
        {"{{index}} {{source}}": rate("tenantry_search_sources_total", "index, source")},
        "reqps",
    ),
    Shown(
        "How old roll-ups are at most",
        {"{{index}}": f"min by (index) (tenantry_rollup_lag_seconds{{{ONE}}})"},
        "s",
        about="By the gateway that knows best. Searches want it within 5 s unless they say otherwise.",
    ),
    Shown(
        "Records copied into roll-ups",
        {"{{index}} {{change}}": rate("tenantry_rollup_records_total", "index, change")},
        "cps",
    ),
]
GATEWAYS = [
    Shown(
        "Requests by status",
        {"{{status}}": f"sum by (status) (rate(tenantry_http_requests_total{RATE}))"},
        "reqps",
    ),
    Shown(
        "Turned away by limits",
        {"{{api}} {{status}}": f'sum by (api, status) (rate(tenantry_http_requests_total{{status=~"429|503"}}{RATE}))'},
        "reqps",
        about="429: a rate limit; 503: the gateway or a shard has its hands full.",
    ),
    Shown(
        "Operations turned away",
        {"{{index}}/{{shard}} {{why}}": rate("tenantry_turned_away_total", "index, shard, why")},
        "ops",
        about="Over a plan's rate, too many at once, over its share of a busy shard, or the shard is busy.",
    ),
    Shown(
        "P95 of requests by API",
        {
            "{{api}}": "histogram_quantile(0.95, sum by (api, le) "
            f"(rate(tenantry_http_request_duration_seconds_bucket{RATE})))"
        },
        "s",
    ),
    Shown("Requests in hand", {"{{instance}}": "tenantry_http_requests_in_flight"}),
    Shown(
        "Age of the last check of the health",
        {"{{index}}": f"time() - {latest('tenantry_health_check_timestamp_seconds', 'index')}"},
        "s",
    ),
    Shown("Gateways by version", {"{{version}}": "count by (version) (tenantry_build_info)"}),
]
ROWS = {
    "At a glance": AT_A_GLANCE,
    "Shards": SHARDS,
    "Moves": MOVES,
    "Cost": COST,
    "Tenants": TENANTS,
    "Routing and searches across tenants": ROUTING,
    "Gateways": GATEWAYS,
}


def panel_of(shown: Shown, number: int) -> Any:
    """A panel as Grafana's SDK builds it."""
    made: Any
    if shown.kind == "number":
        made = stat.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    elif shown.kind == "heat":
        made = statushistory.Panel().color_scheme(
            dashboard.FieldColor().mode(models.FieldColorModeId.CONTINUOUS_GR_YL_RD)
        )
    elif shown.kind == "ranks":
        made = bargauge.Panel().reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        made.orientation(common_models.VizOrientation.HORIZONTAL)
    else:
        made = timeseries.Panel().legend(
            common.VizLegendOptions()
            .show_legend(True)
            .display_mode(common_models.LegendDisplayMode.LIST)
            .placement(common_models.LegendPlacement.BOTTOM)
        )
        if shown.kind == "bars":
            made.draw_style(common_models.GraphDrawStyle.BARS).fill_opacity(60)
    made.id(number).title(shown.title).unit(shown.unit).datasource(SOURCE).span(shown.span)
    made.height(LOW if shown.kind == "number" else HEIGHT)
    if shown.about:
        made.description(shown.about)
    for call, value in shown.settings.items():
        getattr(made, call)(value)
    for letter, (legend, expression) in zip("ABC", shown.queries.items(), strict=False):
        made.with_target(
            prometheus.Dataquery().expr(expression).legend_format(legend).range().ref_id(letter).datasource(SOURCE)
        )
    return made


def grafana_dashboard() -> str:
    """The whole dashboard as the JSON that Grafana reads."""
    made = (
        dashboard.Dashboard("Tenantry")
        .uid("tenantry")
        .description("Shards, moves, cost and tenants. Made by tests/house.py --write; do not edit.")
        .tags(["tenantry"])
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("index")
            .label("Index")
            .datasource(SOURCE)
            .query("label_values(tenantry_index_tenants, index)")
            .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".+")
            .current(models.VariableOption(selected=True, text="All", value="$__all"))
        )
    )
    numbers = itertools.count(1)
    for title, panels in ROWS.items():
        made.with_row(dashboard.Row(title).id(next(numbers)))
        for shown in panels:
            made.with_panel(panel_of(shown, next(numbers)))
    return json.dumps(made.build(), cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def expressions() -> list[str]:
    """Every expression of every panel, as Grafana would send them for all indexes."""
    return [expression for panels in ROWS.values() for shown in panels for expression in shown.queries.values()]
