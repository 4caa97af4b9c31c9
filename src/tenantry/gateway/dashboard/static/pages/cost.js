// What the index costs a month, whose cost it is, and what other sizes and architectures would cost.
import { at, post } from "../core/api.js";
import { compact, count, money, percent, rate } from "../core/format.js";
import { html, useState } from "../core/html.js";
import { useLoad } from "../core/load.js";
import { link } from "../core/route.js";
import { CostByDay } from "../parts/days.js";
import { Badge, Empty, Loaded, Tile } from "../parts/states.js";
import { Table } from "../parts/table.js";

const TOP = 100;
const WORDS = {
  single: "One index", "per-tenant": "An index per tenant", sharded: "Shards", "sharded-advanced": "Shards, placed by load",
  serverless: "Serverless", hybrid: "Large ones apart",
};

const tenants = (index, currency) => [
  { key: "tenant", title: "Tenant", cell: (row) => html`<a href=${link(index, "tenants", row.tenant)}>${row.tenant}</a>` },
  { key: "shard", title: "Shard", minor: true, cell: (row) => row.shard },
  { key: "vectors", title: "Vectors", number: true, cell: (row) => compact(row.vectors) },
  { key: "qps", title: "Ops/s", number: true, minor: true, cell: (row) => rate(row.qps) },
  { key: "used", title: "For use", number: true, minor: true, cell: (row) => money(row.used, currency) },
  { key: "cost", title: "A month", number: true, cell: (row) => money(row.cost, currency) },
];
const shards = (currency) => [
  { key: "shard", title: "Shard", cell: (row) => row.shard },
  { key: "offer", title: "Priced as", minor: true, cell: (row) => row.offer },
  { key: "tenants", title: "Tenants", number: true, cell: (row) => count(row.tenants) },
  { key: "use", title: "Used", number: true, cell: (row) => percent(row.utilisation) },
  { key: "wasted", title: "Unused", number: true, minor: true, cell: (row) => money(row.wasted, currency) },
  { key: "cost", title: "A month", number: true, cell: (row) => money(row.cost, currency) },
];
const tried = (currency) => [
  { key: "shards", title: "Shards", number: true, cell: (row) => count(row.shards) },
  { key: "fits", title: "Holds it", cell: (row) => html`<${Badge} tone=${row.fits ? "good" : "critical"}>${row.fits ? "yes" : "no"}<//>` },
  { key: "fullest", title: "Fullest", number: true, cell: (row) => percent(row.fullest) },
  { key: "tenant", title: "Per tenant", number: true, minor: true, cell: (row) => money(row.per_tenant, currency) },
  { key: "month", title: "A month", number: true, cell: (row) => money(row.monthly, currency) },
];
const choices = (currency) => [
  { key: "what", title: "Architecture", cell: (row) => WORDS[row.architecture] ?? row.architecture },
  { key: "offer", title: "Priced as", minor: true, cell: (row) => row.offer },
  { key: "indexes", title: "Indexes", number: true, cell: (row) => count(row.indexes) },
  { key: "fits", title: "Holds it", cell: (row) => html`<${Badge} tone=${row.fits ? "good" : "critical"}>${row.fits ? "yes" : "no"}<//>` },
  { key: "note", title: "Mind", minor: true, cell: (row) => row.note },
  { key: "month", title: "A month", number: true, cell: (row) => money(row.monthly, currency) },
];

// Numbers of shards around what there is and what is needed.
const around = (now, needed) => [...new Set([needed - 1, needed, needed + 1, now - 1, now, now + 1, now * 2])].filter((one) => one >= 1).sort((a, b) => a - b);
const numbers = (text) => text.split(/[\s,]+/).map(Number).filter((one) => Number.isInteger(one) && one >= 1).slice(0, 20);

export function Cost({ index }) {
  const [wanted, setWanted] = useState([]);
  const bill = useLoad((signal) => post(at("indexes", index, "cost"), { top: TOP }, { signal }), [index]);
  const needed = bill.value?.shards_needed;
  const trial = wanted.length ? wanted : needed ? around(bill.value.shards.length, needed) : [];
  const card = useLoad((signal) => (trial.length ? post(at("indexes", index, "advice"), { shards: trial }, { signal }) : null), [index, trial.join()]);
  const submitted = (event) => {
    event.preventDefault();
    setWanted(numbers(new FormData(event.target).get("shards")));
  };
  return html`
    <div class="heading page-heading"><h1 tabindex="-1">Cost</h1></div>
    <${Loaded} from=${bill} what="Making up the bill">
      ${(report) => html`
        <dl class="tiles">
          <${Tile} name="A month" value=${money(report.monthly, report.currency)} note=${html`<${Badge} tone=${{ ok: "good", near: "warning", over: "critical" }[report.budget.state]}>${report.budget.state === "ok" ? "within budget" : `${report.budget.state} budget`}<//>`} />
          <${Tile} name="Per tenant" value=${money(report.per_tenant, report.currency)} />
          <${Tile} name="Unused capacity" value=${money(report.wasted, report.currency)} />
          <${Tile} name="Shards needed" value=${count(report.shards_needed)} note=${report.saving > 0 ? `saves ${money(report.saving, report.currency)}` : `of ${report.shards.length}`} />
        </dl>
        <${CostByDay} index=${index} />
        <section class="card">
          <h2>The bill</h2>
          <${Table}
            caption="Lines of the bill"
            columns=${[
              { key: "what", title: "What", cell: (row) => row.what },
              { key: "source", title: "Price by", minor: true, cell: (row) => row.source },
              { key: "amount", title: "A month", number: true, cell: (row) => money(row.amount, report.currency) },
            ]}
            rows=${report.lines}
            id=${(row) => row.what}
          />
          ${report.notes.length > 0 && html`<ul class="notes">${report.notes.map((note) => html`<li key=${note}>${note}</li>`)}</ul>`}
        </section>
        <section class="card">
          <div class="heading"><h2>What if</h2>
            <form class="inline" onSubmit=${submitted}>
              <label><span class="unseen">Numbers of shards to try</span><input name="shards" placeholder=${`Shards, such as ${trial.slice(0, 3).join(", ")}`} inputmode="numeric" autocomplete="off" /></label>
              <button type="submit">Try</button>
            </form>
          </div>
          <${Loaded} from=${card} what="Trying other sizes">
            ${(advice) => html`
              <p class="headline">${advice.headline}</p>
              <div class="columns">
                <div><h3>Other numbers of shards</h3><${Table} caption="Numbers of shards" columns=${tried(advice.currency)} rows=${advice.what_if} id=${(row) => row.shards} /></div>
                <div><h3>Other architectures</h3><${Table} caption="Architectures" columns=${choices(advice.currency)} rows=${advice.choices} id=${(row) => row.architecture} /></div>
              </div>
            `}
          <//>
        </section>
        <section class="card">
          <h2>Shards</h2>
          <${Table} caption="Cost of shards" columns=${shards(report.currency)} rows=${report.shards} id=${(row) => row.shard} />
        </section>
        <section class="card">
          <div class="heading"><h2>Tenants</h2>${report.tenants.length === TOP && html`<small>the ${TOP} dearest</small>`}</div>
          ${report.tenants.length
            ? html`<${Table} caption="Cost of tenants" columns=${tenants(index, report.currency)} rows=${report.tenants} id=${(row) => row.tenant} />`
            : html`<${Empty} title="No tenants yet" />`}
        </section>
      `}
    <//>
  `;
}
