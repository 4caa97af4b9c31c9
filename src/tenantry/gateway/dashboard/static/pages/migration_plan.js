// A migration in waves, planned without changing anything, then begun.
import { at, post } from "../core/api.js";
import { bytes, count, duration, moment } from "../core/format.js";
import { html, useState } from "../core/html.js";
import { useAct } from "../core/load.js";
import { go, link } from "../core/route.js";
import { may } from "../core/session.js";
import { Ask, Field } from "../parts/dialog.js";
import { Badge, Loading, Mind, Problem, Tile } from "../parts/states.js";
import { Table } from "../parts/table.js";
import { billOf } from "./migration.js";

const NUMBERS = { share: 1 / 100, canaries: 1, every_s: 3_600, soak_s: 60 };
const namesIn = (text) => text.split(",").map((one) => one.trim()).filter(Boolean);

function bodyOf(form, index) {
  const body = { index, sources: namesIn(form.get("sources")) };
  const targets = namesIn(form.get("targets"));
  if (targets.length) body.targets = targets;
  for (const [field, factor] of Object.entries(NUMBERS)) {
    if (form.get(field) !== "") body[field] = Number(form.get(field)) * factor;
  }
  return body;
}

const WAVES = [
  { key: "number", title: "Wave", tight: true, cell: (wave) => `${wave.number}${wave.canary ? " · canaries" : ""}` },
  { key: "tenants", title: "Tenants", cell: (wave) => `${count(wave.tenants.length)}: ${wave.tenants.slice(0, 4).join(", ")}${wave.tenants.length > 4 ? " …" : ""}` },
  { key: "vectors", title: "Vectors", number: true, minor: true, cell: (wave) => count(wave.vectors) },
  { key: "risk", title: "Risk", number: true, minor: true, cell: (wave) => `${wave.risk_least.toFixed(2)}–${wave.risk_most.toFixed(2)}` },
  { key: "due", title: "Not before", number: true, minor: true, cell: (wave) => moment(wave.due_at) },
  { key: "takes", title: "Takes", number: true, minor: true, cell: (wave) => duration(wave.expected_s) },
];

const ROOM = [
  { key: "shard", title: "Target", cell: (one) => one.shard },
  { key: "tenants", title: "Tenants", number: true, cell: (one) => `${count(one.tenants_before)} → ${count(one.tenants_after)}` },
  { key: "vectors", title: "Vectors", number: true, minor: true, cell: (one) => `${count(one.vectors_before)} → ${count(one.vectors_after)}` },
  { key: "comes", title: "Comes", number: true, minor: true, cell: (one) => bytes(one.coming_bytes) },
  { key: "room", title: "Room", cell: (one) => (one.problem ? html`<${Badge} tone="critical">no<//> ${one.problem}` : html`<${Badge} tone="good">ok<//>`) },
];

function Planned({ plan }) {
  return html`
    <dl class="tiles">
      <${Tile} name="Tenants" value=${count(plan.items.length)} />
      <${Tile} name="Waves" value=${count(plan.waves.length)} />
      <${Tile} name="To copy" value=${bytes(plan.bytes)} />
      <${Tile} name="Takes" value=${plan.expected_s === null ? "unknown" : duration(plan.expected_s)} note=${plan.expected_s === null ? "nothing was moved yet" : undefined} />
    </dl>
    ${plan.before && html`<p class="muted">The bill: ${billOf(plan.before)} now, ${billOf(plan.after)} once it is finished.</p>`}
    ${plan.notes.length > 0 && html`<ul class="notes">${plan.notes.map((note) => html`<li key=${note}>${note}</li>`)}</ul>`}
    ${plan.blockers.map((blocker) => html`<${Mind} key=${blocker}>Would stop it: ${blocker}<//>`)}
    <section class="card"><h2>Waves</h2><${Table} caption="Planned waves" columns=${WAVES} rows=${plan.waves} id=${(wave) => wave.number} /></section>
    <section class="card"><h2>Room</h2><${Table} caption="Room on the targets" columns=${ROOM} rows=${plan.capacity} id=${(one) => one.shard} /></section>
  `;
}

export function NewMigration({ who, index, shards }) {
  const [asked, setAsked] = useState(null);
  const [plan, setPlan] = useState(null);
  const [sure, setSure] = useState(false);
  const planning = useAct();
  const starting = useAct();
  const make = async (event) => {
    event.preventDefault();
    const body = bodyOf(new FormData(event.target), index);
    setPlan(null);
    setPlan((await planning.act(() => post(at("migrations", "plan"), body))) ?? null);
    setAsked(body);
  };
  const begin = async () => {
    const begun = await starting.act(() => post(at("migrations"), asked));
    if (begun) go(link(index, "migrations", begun.id));
  };
  return html`
    <form class="filters card" onSubmit=${make}>
      <${Field} label="Shards to empty" hint="names, with commas between"><input name="sources" required list="shards" autocomplete="off" spellcheck=${false} /><//>
      <${Field} label="To shards" hint="empty: all others"><input name="targets" list="shards" autocomplete="off" spellcheck=${false} /><//>
      <datalist id="shards">${shards.map((one) => html`<option key=${one} value=${one} />`)}</datalist>
      <${Field} label="Tenants a wave, %"><input name="share" type="number" min="1" max="100" step="any" placeholder="25" /><//>
      <${Field} label="Canaries"><input name="canaries" type="number" min="0" placeholder="1 in 50" /><//>
      <${Field} label="Hours between waves"><input name="every_s" type="number" min="0" step="any" placeholder="24" /><//>
      <${Field} label="Soak, minutes"><input name="soak_s" type="number" min="0" step="any" placeholder="10" /><//>
      <button type="submit" class="primary" disabled=${planning.busy}>${planning.busy ? "Planning…" : "Plan"}</button>
    </form>
    <${Problem} error=${planning.error} />
    ${planning.busy && html`<${Loading} what="Measuring and planning" />`}
    ${plan && plan.blockers.length === 0 && may(who, "control") &&
    html`
      <div class="notice">
        <div>This is a dry run: nothing has changed. When you begin, it is planned again from what is measured then.</div>
        <button type="button" class="primary" onClick=${() => setSure(true)}>Begin…</button>
      </div>
    `}
    ${plan && html`<${Planned} plan=${plan} />`}
    ${sure &&
    html`
      <${Ask} title=${`Move ${count(plan.items.length)} tenants in ${count(plan.waves.length)} waves?`} verb="Begin" act=${starting} close=${() => setSure(false)} send=${begin}>
        <p>The shards to empty take no new tenants from now on. Tenants go on being read and written; between waves a gate looks at errors and latency, and pauses the migration when they got worse.</p>
      <//>
    `}
  `;
}
