// All tenants: searched, sorted and paged by the gateway.
import { at, get } from "../core/api.js";
import { ago, bytes, count, moment, percent, rate } from "../core/format.js";
import { html, useEffect, useRef } from "../core/html.js";
import { useLoad } from "../core/load.js";
import { go, link } from "../core/route.js";
import { Badge, Empty, Loaded } from "../parts/states.js";
import { Pager, Table } from "../parts/table.js";
import { Tenant } from "./tenant.js";

const PAGE = 50;
const TYPING_MS = 250;

const COLUMNS = (index) => [
  { key: "name", title: "Tenant", sort: "name", cell: (row) => html`<a href=${link(index, "tenants", row.name)}>${row.name}</a>` },
  { key: "state", title: "State", sort: "state", minor: true, cell: (row) => html`<${Badge}>${row.moving ? "moving" : row.state}<//>` },
  { key: "shard", title: "Shard", sort: "shard", cell: (row) => row.shard },
  { key: "vectors", title: "Vectors", sort: "vectors", number: true, cell: (row) => count(row.vectors) },
  { key: "bytes", title: "Stored", sort: "bytes", number: true, minor: true, cell: (row) => bytes(row.bytes) },
  { key: "rate", title: "Ops/s", sort: "per_second", number: true, minor: true, cell: (row) => rate(row.per_second) },
  { key: "errors", title: "Errors", sort: "error_rate", number: true, minor: true, cell: (row) => percent(row.error_rate) },
  { key: "created", title: "Created", sort: "created_at", number: true, minor: true, cell: (row) => moment(row.created_at) },
];

export const Tenants = (props) => (props.name === undefined ? html`<${List} ...${props} />` : html`<${Tenant} ...${props} />`);

function List({ index, query }) {
  const { text = "", shard = "", sort = "name", down, from } = query;
  const offset = Number(from) || 0;
  const found = useLoad(
    (signal) => get(at("indexes", index, "roster"), { text, shard, sort, descending: down ? "true" : "false", offset, limit: PAGE }, { signal }),
    [index, text, shard, sort, down, offset],
  );
  const shards = useLoad((signal) => get(at("indexes", index, "overview"), {}, { signal }), [index]);
  const names = shards.value?.report?.shards.map((one) => one.name) ?? [];
  const timer = useRef();
  useEffect(() => () => clearTimeout(timer.current), []);

  const show = (change) => go(link(index, "tenants", null, { text, shard, sort, down, from: undefined, ...change }), { replace: true });
  const latest = useRef();
  latest.current = show; // what was chosen since one typed stays
  const typed = (event) => {
    const value = event.target.value;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => latest.current({ text: value }), TYPING_MS);
  };
  const offered = shard && !names.includes(shard) ? [shard, ...names] : names;

  return html`
    <div class="heading page-heading">
      <h1 tabindex="-1">Tenants</h1><span class="grow"></span>
      ${found.value && html`<small>measured ${ago(found.value.at)}</small>`}
    </div>
    <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
      <label class="field grow"><span>Search</span><input type="search" defaultValue=${text} onInput=${typed} placeholder="Part of a name" autocomplete="off" spellcheck=${false} /></label>
      <label class="field"><span>Shard</span>
        <select value=${shard} onChange=${(event) => show({ shard: event.target.value })}>
          <option value="">All shards</option>
          ${offered.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}
        </select>
      </label>
    </form>
    <${Loaded} from=${found} what="Measuring the tenants">
      ${(page) => html`
        ${page.tenants.length
          ? html`
              <section class="card flush">
                <${Table}
                  caption=${`Tenants of ${index}`}
                  columns=${COLUMNS(index)}
                  rows=${page.tenants}
                  id=${(row) => row.name}
                  sort=${{ by: sort, descending: Boolean(down) }}
                  onSort=${(by, descending) => show({ sort: by, down: descending ? 1 : undefined })}
                />
              </section>
            `
          : html`<${Empty} title=${page.total ? "No such tenant" : "No tenants yet"}>
              ${page.total ? `None of ${count(page.total)} tenants fits.` : "The first write to a tenant makes it."}
            <//>`}
        <${Pager}
          offset=${offset}
          shown=${page.tenants.length}
          found=${count(page.found)}
          earlier=${offset > 0 && (() => show({ from: Math.max(0, offset - PAGE) || undefined }))}
          later=${offset + page.tenants.length < page.found && (() => show({ from: offset + PAGE }))}
        />
      `}
    <//>
  `;
}
