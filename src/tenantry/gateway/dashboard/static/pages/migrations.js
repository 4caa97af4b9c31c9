// Migrations in waves: those under way, past ones, and a new one.
import { at, get } from "../core/api.js";
import { count, moment } from "../core/format.js";
import { html, useEffect } from "../core/html.js";
import { useEvery, useLoad } from "../core/load.js";
import { link } from "../core/route.js";
import { may } from "../core/session.js";
import { Badge, Empty, Loaded } from "../parts/states.js";
import { Table } from "../parts/table.js";
import { Course, fromOf, Items, MigrationCard, OVER, Waves } from "./migration.js";
import { NewMigration } from "./migration_plan.js";

const LOOK_MS = 1_000;
const NEW = "new";
const PAST = 20;
const MANY = 500;

export function Migrations(props) {
  if (props.name === undefined) return html`<${List} ...${props} />`;
  return props.name === NEW ? html`<${New} ...${props} />` : html`<${One} ...${props} />`;
}

const COLUMNS = (index) => [
  { key: "from", title: "From", cell: (row) => fromOf(row) },
  { key: "to", title: "To", minor: true, cell: (row) => row.targets.join(", ") },
  { key: "state", title: "State", cell: (row) => html`<${Badge}>${row.state}<//>` },
  { key: "moved", title: "Moved", number: true, cell: (row) => `${count(row.moved)} of ${count(row.tenants)}` },
  { key: "begun", title: "Begun", number: true, minor: true, cell: (row) => moment(row.created_at) },
  { key: "more", title: html`<span class="unseen">Details</span>`, cell: (row) => html`<a href=${link(index, "migrations", row.id)} aria-label=${`Details of migration ${row.id}`}>Details</a>` },
];

function List({ who, index }) {
  const going = useLoad((signal) => get(at("migrations"), { index, open: true }, { signal }), [index]);
  const open = going.value?.migrations ?? [];
  const found = useLoad((signal) => get(at("migrations"), { index, limit: PAST }, { signal }), [index, open.length]);
  useEvery(LOOK_MS, open.length > 0, going.refresh);
  return html`
    <div class="heading page-heading">
      <h1 tabindex="-1">Migrations</h1><span class="grow"></span>
      ${may(who, "control") && going.value && !open.length && html`<a class="button primary" href=${link(index, "migrations", NEW)}>Plan one…</a>`}
    </div>
    <p class="muted">A migration empties shards in waves: canaries first, and a gate between waves that watches errors and latency.</p>
    <section aria-label="Open migrations">
      ${open.map((one) => html`<${MigrationCard} key=${one.id} who=${who} index=${index} migration=${one} again=${going.again} />`)}
    </section>
    <section class="card">
      <h2>The last ${PAST}</h2>
      <${Loaded} from=${found} what="Loading the migrations">
        ${({ migrations }) => (migrations.length ? html`<${Table} caption="Migrations" columns=${COLUMNS(index)} rows=${migrations} id=${(row) => row.id} />` : html`<${Empty} title="No migration yet" />`)}
      <//>
    </section>
  `;
}

function New({ who, index }) {
  const shards = useLoad((signal) => get(at("indexes", index, "shards"), {}, { signal }), [index]);
  return html`
    <p class="crumb"><a href=${link(index, "migrations")}>Migrations</a></p>
    <div class="heading page-heading"><h1 tabindex="-1">Plan a migration</h1></div>
    <${NewMigration} who=${who} index=${index} shards=${(shards.value?.shards ?? []).map((one) => one.name)} />
  `;
}

// When its tenants are asked for again: after each change, or, where they are many, after each wave.
const stepOf = (migration) => (migration.tenants > MANY ? `${migration.state} ${migration.waves.filter((wave) => wave.moved_at).length}` : migration.revision);

function One({ who, index, name }) {
  const found = useLoad((signal) => get(at("migrations", name), {}, { signal }), [name]);
  const step = found.value && stepOf(found.value);
  const items = useLoad((signal) => get(at("migrations", name, "tenants"), {}, { signal }), [name]);
  useEffect(items.refresh, [step]);
  useEffect(items.again, [found.value?.state]); // a refresh that came while another one was loading is left out
  useEvery(LOOK_MS, found.value !== null && !OVER.has(found.value.state), found.refresh);
  return html`
    <p class="crumb"><a href=${link(index, "migrations")}>Migrations</a></p>
    <${Loaded} from=${found} what="Loading the migration">
      ${(migration) => html`
        <div class="heading page-heading"><h1 tabindex="-1">Migration of ${fromOf(migration)}</h1></div>
        <${MigrationCard} who=${who} index=${index} migration=${migration} again=${found.again} whole />
        <${Waves} migration=${migration} />
        <section class="card">
          <h2>Tenants</h2>
          <${Loaded} from=${items} what="Loading its tenants">${({ tenants }) => html`<${Items} index=${index} items=${tenants} />`}<//>
        </section>
        <${Course} migration=${migration} />
      `}
    <//>
  `;
}
