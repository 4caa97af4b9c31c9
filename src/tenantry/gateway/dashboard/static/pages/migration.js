// A migration: how far it is, what its gates found, and what can be done with it.
import { at, post } from "../core/api.js";
import { ago, bytes, count, duration, millis, moment, money, percent } from "../core/format.js";
import { html, useState } from "../core/html.js";
import { useAct } from "../core/load.js";
import { link } from "../core/route.js";
import { may } from "../core/session.js";
import { Ask, Field } from "../parts/dialog.js";
import { Badge, Facts, Mind, Problem, Progress } from "../parts/states.js";
import { Pager, Table } from "../parts/table.js";

const PAGE = 50;
export const OVER = new Set(["finished", "rolled-back"]);
const TONES = { running: "busy", paused: "warning", "rolling-back": "busy", done: "good", finished: "good" };

// What may be asked of a migration where it stands.
export function verbsOf(migration) {
  const { state, next_at: next } = migration;
  if (state === "running") return [...(next && migration.idle ? ["now"] : []), "pause", "rollback"];
  if (state === "paused") return ["resume", "rollback", "finish"];
  if (state === "rolling-back") return ["pause"];
  return state === "done" ? ["finish", "rollback"] : [];
}

const VERBS = {
  now: { title: "Next wave now", path: "resume", body: () => ({ now: true }), sure: "The next wave does not wait for its time. Its gate still has to open." },
  pause: { title: "Pause", path: "pause" },
  resume: { title: "Go on", path: "resume", body: () => ({}) },
  rollback: {
    title: "Roll back",
    path: "rollback",
    danger: true,
    body: (form) => (form.get("wave") ? { wave: Number(form.get("wave")) } : {}),
    sure: "Tenants go back to where they were, with everything written since.",
  },
  finish: {
    title: "Finish",
    path: "finish",
    danger: true,
    body: (form) => ({ partial: form.get("partial") === "on" }),
    sure: "It ends for good: no way back by rollback, and shards that it emptied are retired.",
  },
};

function Verb({ migration, verb, again }) {
  const [asking, setAsking] = useState(false);
  const act = useAct();
  const { title, path, body, sure, danger } = VERBS[verb];
  const send = async (form) => {
    if (await act.act(() => post(at("migrations", migration.id, path), body?.(form)))) setAsking(false);
    again();
  };
  return html`
    <button type="button" class=${danger ? "danger" : ""} disabled=${act.busy} onClick=${() => (sure ? setAsking(true) : send())}>${title}</button>
    ${!sure && html`<${Problem} error=${act.error} />`}
    ${asking &&
    html`
      <${Ask} title=${`${title}: migration ${migration.id}`} verb=${title} danger=${danger} act=${act} close=${() => setAsking(false)} send=${send}>
        <p>${sure}</p>
        ${verb === "rollback" &&
        html`
          <${Field} label="Which">
            <select name="wave">
              <option value="">all waves</option>
              ${migration.waves.filter((wave) => wave.began_at !== null).map((wave) => html`<option key=${wave.number} value=${wave.number}>only wave ${wave.number}</option>`)}
            </select>
          <//>
        `}
        ${verb === "finish" && migration.moved < migration.tenants && html`<label class="check"><input type="checkbox" name="partial" /> As it is: tenants remain where they are</label>`}
      <//>
    `}
  `;
}

function told(migration) {
  const parts = [`${count(migration.moved)} of ${count(migration.tenants)} tenants moved`];
  if (migration.failed) parts.push(`${count(migration.failed)} failed`);
  if (migration.moving.length) parts.push(`moving: ${migration.moving.slice(0, 3).join(", ")}${migration.moving.length > 3 ? " …" : ""}`);
  else if (migration.next_at) parts.push(`goes on ${moment(migration.next_at)}`);
  return parts.join(" · ");
}

export const fromOf = (migration) => migration.sources.join(", ") || "chosen tenants";

// `whole`: its details are on the same page.
export function MigrationCard({ who, index, migration, again, whole = false }) {
  return html`
    <article class="card move" aria-label=${`Migration ${migration.id}`}>
      <div class="row">
        <strong>${fromOf(migration)}</strong>
        <span class="muted">→ ${migration.targets.join(", ")}</span>
        <span class="grow"></span>
        <${Badge} tone=${TONES[migration.state]}>${migration.state}<//>
      </div>
      <${Progress} share=${migration.tenants ? migration.moved / migration.tenants : 0} label=${`Progress of migration ${migration.id}`} />
      <div class="row">
        <small class="grow">${told(migration)}</small>
        ${may(who, "control") && verbsOf(migration).map((verb) => html`<${Verb} key=${verb} migration=${migration} verb=${verb} again=${again} />`)}
        ${!whole && html`<a class="button" href=${link(index, "migrations", migration.id)}>Details</a>`}
      </div>
      ${migration.reason && html`<${Mind}>${migration.held ? "A gate holds it: " : ""}${migration.reason}<//>`}
    </article>
  `;
}

function gateOf({ gate, passed_at: passed }) {
  if (gate?.regressions.length) return html`<${Badge} tone="critical">holds<//> ${gate.regressions.join("; ")}`;
  if (passed) return html`<${Badge} tone="good">open<//> ${gate?.operations ? `${count(gate.operations)} operations, ${percent(gate.error_rate)} failed, P95 ${millis(gate.p95_ms)}` : "nothing was asked"}`;
  return gate ? html`<${Badge} tone="busy">watching<//> ${gate.notes.join("; ")}` : "";
}

const WAVES = [
  { key: "number", title: "Wave", tight: true, cell: (wave) => `${wave.number}${wave.canary ? " · canaries" : ""}` },
  { key: "moved", title: "Moved", number: true, cell: (wave) => `${count(wave.moved)} of ${count(wave.tenants)}${wave.failed ? `, ${wave.failed} failed` : ""}` },
  { key: "began", title: "Began", number: true, minor: true, cell: (wave) => (wave.began_at ? moment(wave.began_at) : wave.due_at ? `due ${moment(wave.due_at)}` : "") },
  { key: "took", title: "Took", number: true, minor: true, cell: (wave) => (wave.moved_at ? duration(wave.moved_at - wave.began_at) : "") },
  { key: "gate", title: "Gate", cell: gateOf },
];

const TENANTS = (index) => [
  { key: "tenant", title: "Tenant", tight: true, cell: (item) => html`<a href=${link(index, "tenants", item.tenant)}>${item.tenant}</a>` },
  { key: "wave", title: "Wave", number: true, cell: (item) => item.wave },
  { key: "way", title: "From → to", minor: true, cell: (item) => `${item.source} → ${item.target}` },
  { key: "state", title: "State", cell: (item) => html`<${Badge}>${item.state}<//>` },
  { key: "vectors", title: "Vectors", number: true, minor: true, cell: (item) => count(item.vectors) },
  { key: "bytes", title: "Size", number: true, minor: true, cell: (item) => bytes(item.bytes) },
  { key: "pause", title: "Writes held", number: true, minor: true, cell: (item) => millis(item.pause_ms) },
  { key: "compared", title: "Compared", number: true, minor: true, cell: (item) => count(item.records) },
  { key: "error", title: "Trouble", minor: true, cell: (item) => item.error ?? "" },
];

export function billOf(bill) {
  if (!bill) return undefined;
  if (bill.monthly === null) return bill.why_not ?? "not priced";
  return `${money(bill.monthly)} a month${bill.per_tenant === null ? "" : `, ${money(bill.per_tenant)} a tenant`}`;
}

export const Waves = ({ migration }) => html`
  <section class="card">
    <h2>Waves</h2>
    <${Table} caption="Waves" columns=${WAVES} rows=${migration.waves} id=${(wave) => wave.number} />
  </section>
`;

export function Items({ index, items }) {
  const [offset, setOffset] = useState(0);
  const shown = items.slice(offset, offset + PAGE);
  return html`
    <${Table} caption="Tenants of the migration" columns=${TENANTS(index)} rows=${shown} id=${(item) => item.tenant} />
    ${items.length > PAGE &&
    html`
      <${Pager}
        offset=${offset}
        shown=${shown.length}
        found=${count(items.length)}
        earlier=${offset > 0 && (() => setOffset(offset - PAGE))}
        later=${offset + PAGE < items.length && (() => setOffset(offset + PAGE))}
      />
    `}
  `;
}

export function Course({ migration }) {
  const { options } = migration;
  return html`
    <section class="card">
      <h2>Course</h2>
      <ol class="course told">
        ${[...migration.events].reverse().map((event, number) => html`<li key=${number}><span>${event.what}</span><small>${moment(event.at)}</small></li>`)}
      </ol>
      <${Facts}
        rows=${[
          ["Begun", `${moment(migration.created_at)}, ${ago(migration.created_at)}`],
          ["Waves of at most", percent(options.share)],
          ["From wave to wave", options.every_s ? duration(options.every_s) : "as soon as the gate is open"],
          ["Gates watch for", options.soak_s ? duration(options.soak_s) : "a moment"],
          ["Old copies are kept", duration(options.retention_s)],
          ["Bill before", billOf(migration.before)],
          ["Bill after", billOf(migration.after)],
          ["Migration", html`<code>${migration.id}</code>`],
        ]}
      />
    </section>
  `;
}
