// An index at a glance: what is wrong and what to do, then where things are.
import { at, get } from "../core/api.js";
import { ago, bytes, compact, count, duration, millis, percent, rate } from "../core/format.js";
import { html, useMemo, useState } from "../core/html.js";
import { useLive } from "../core/live.js";
import { useAct, useEvery, useLoad } from "../core/load.js";
import { link } from "../core/route.js";
import { Chart } from "../parts/chart.js";
import { HeatMap } from "../parts/heatmap.js";
import { Badge, Empty, Loading, Problem, Tile } from "../parts/states.js";
import { Table } from "../parts/table.js";
import { Warnings } from "./warnings.js";

// Shards of the last check, with rates and latencies that are newer.
function merged(report, overview) {
  const newer = new Map((overview?.shards ?? []).map((one) => [one.name, one]));
  if (!overview?.sampled_at || overview.sampled_at < report.at) return report.shards;
  const idle = { per_second: 0, queries_per_second: 0, error_rate: 0, p50_ms: 0, p95_ms: 0, p99_ms: 0 };
  return report.shards.map((one) => ({ ...one, ...(newer.get(one.name) ?? idle) }));
}

function Timeline({ index, mark }) {
  const found = useLoad((signal) => get(at("indexes", index, "timeline"), { shards: 8 }, { signal }), [index, mark]);
  const value = found.value;
  const series = useMemo(() => (value?.shards ?? []).map((one) => ({ name: one.name, values: one.p95_ms })), [value]);
  const drawn = series.some((one) => one.values.some((each) => each !== null));
  return html`
    <section class="card">
      <div class="heading">
        <h2>P95 of queries over time</h2>
        ${value && html`<small>${value.others > 0 ? `the ${series.length} slowest shards · ` : ""}over windows of ${duration(value.window_s)}</small>`}
      </div>
      ${found.error && html`<${Problem} error=${found.error} again=${found.again} />`}
      ${!value && !found.error && html`<${Loading} />`}
      ${value && !drawn && html`<${Empty} title="No queries yet">Latencies of the last hour show up here.<//>`}
      ${drawn && html`<${Chart} at=${value.at} series=${series} show=${millis} label="P95 of queries of each shard" />`}
    </section>
  `;
}

const BUSIEST = (index) => [
  { key: "name", title: "Tenant", cell: (row) => html`<a href=${link(index, "tenants", row.name)}>${row.name}</a>` },
  { key: "shard", title: "Shard", cell: (row) => row.shard },
  { key: "vectors", title: "Vectors", number: true, cell: (row) => count(row.vectors) },
  { key: "bytes", title: "Stored", number: true, minor: true, cell: (row) => bytes(row.bytes) },
  { key: "rate", title: "Ops/s", number: true, cell: (row) => rate(row.per_second) },
  { key: "errors", title: "Errors", number: true, minor: true, cell: (row) => percent(row.error_rate) },
];

export function Overview({ who, index }) {
  const live = useLive();
  const first = useLoad((signal) => get(at("indexes", index, "overview"), {}, { signal }), [index]);
  const [measured, setMeasured] = useState(null);
  const [, tick] = useState(0);
  const { busy, error, act } = useAct();
  useEvery(5_000, true, () => tick((old) => old + 1));

  const overview = live.overview?.index === index ? live.overview : first.value;
  const reports = [overview?.report, measured].filter(Boolean).sort((a, b) => b.at - a.at);
  const report = reports[0];
  const measure = async () => {
    const found = await act(() => get(at("indexes", index, "health")));
    if (found) setMeasured(found);
  };

  return html`
    <div class="heading page-heading">
      <h1 tabindex="-1">Overview</h1>
      ${report && html`<${Badge}>${report.health}<//>`}
      <span class="grow"></span>
      ${report && html`<small role="status">measured ${ago(report.at)}</small>`}
      <button type="button" onClick=${measure} disabled=${busy}>${busy ? "Measuring…" : "Measure now"}</button>
    </div>
    <${Problem} error=${error ?? first.error} again=${first.error ? first.again : undefined} />
    ${!overview && !first.error && html`<${Loading} />`}
    ${overview && !report && html`<${Empty} title="Not measured yet">
      ${overview.check_every_s > 0 ? "The first check comes within moments." : "This gateway makes no regular checks; measure now."}
    <//>`}
    ${report && html`<${Measured} who=${who} index=${index} report=${report} overview=${overview} again=${measure} />`}
  `;
}

function Measured({ who, index, report, overview, again }) {
  const shards = merged(report, overview);
  const newer = shards !== report.shards;
  const perSecond = newer ? shards.reduce((sum, one) => sum + one.per_second, 0) : report.per_second;
  return html`
    <section aria-label="Warnings">
      <h2>${report.warnings.length ? `Needs attention (${report.warnings.length})` : "Needs attention"}</h2>
      <${Warnings} who=${who} index=${index} warnings=${report.warnings} done=${again} />
    </section>
    <dl class="tiles">
      <${Tile} name="Tenants" value=${count(report.tenants)} note=${`on ${count(report.shards.length)} shards`} />
      <${Tile} name="Vectors" value=${compact(report.vectors)} note=${bytes(report.bytes)} />
      <${Tile} name="Operations/s" value=${rate(perSecond)} note=${report.gateways > 1 ? `by ${report.gateways} gateways` : undefined} />
      <${Tile} name="Route cache" value=${percent(report.cache_hit_rate)} note="hits" />
      <${Tile} name="Across tenants" value=${percent(report.cross_tenant_share)} note="of all questions" />
      <${Tile} name="Open moves" value=${html`<a href=${link(index, "moves")}>${count(overview?.open_moves ?? 0)}</a>`} />
    </dl>
    <section class="card"><${HeatMap} index=${index} shards=${shards} /></section>
    <${Timeline} index=${index} mark=${overview?.sampled_at} />
    <section class="card">
      <div class="heading"><h2>Busiest tenants</h2><a href=${link(index, "tenants", null, { sort: "per_second", down: 1 })}>All tenants</a></div>
      ${report.top_tenants.length
        ? html`<${Table} caption="Busiest tenants" columns=${BUSIEST(index)} rows=${report.top_tenants.slice(0, 10)} id=${(row) => row.name} />`
        : html`<${Empty} title="No tenants yet">The first write to a tenant makes it.<//>`}
    </section>
  `;
}
