// Plans: made without changing anything, shown before and after, then carried out.
import { at, get, post } from "../core/api.js";
import { bytes, compact, count, money, rate } from "../core/format.js";
import { html, useEffect, useState } from "../core/html.js";
import { useLive } from "../core/live.js";
import { useAct, useEvery } from "../core/load.js";
import { link } from "../core/route.js";
import { may } from "../core/session.js";
import { BeforeAfter } from "../parts/bars.js";
import { Ask, Field } from "../parts/dialog.js";
import { Badge, Empty, Loading, Problem, Tile } from "../parts/states.js";
import { Table } from "../parts/table.js";

const AIMS = {
  balance: "Even out the shards",
  drain: "Empty one shard",
  isolate: "Give one tenant a shard of its own",
  consolidate: "Use as few shards as hold everything",
};
const SUBJECT = { drain: "Shard to empty", isolate: "Tenant" };
const FIGURES = {
  vectors: { title: "Vectors", show: compact },
  tenants: { title: "Tenants", show: count },
  load: { title: "Operations/s", show: rate },
};

const COLUMNS = (index) => [
  { key: "tenant", title: "Tenant", tight: true, cell: (row) => html`<a href=${link(index, "tenants", row.tenant)}>${row.tenant}</a>` },
  { key: "way", title: "From → to", tight: true, cell: (row) => `${row.source} → ${row.target}` },
  { key: "state", title: "State", cell: (row) => (row.state ? html`<${Badge}>${row.state}<//>` : html`<${Badge}>planned<//>`) },
  { key: "vectors", title: "Vectors", number: true, cell: (row) => count(row.vectors) },
  { key: "bytes", title: "Size", number: true, minor: true, cell: (row) => bytes(row.bytes) },
  { key: "why", title: "Why", minor: true, cell: (row) => row.error ?? row.why },
];

function Picture({ plan }) {
  const [key, choose] = useState("vectors");
  const { title, show } = FIGURES[key];
  const rows = plan.shards.map((one) => ({ name: one.shard, before: one[`${key}_before`], after: one[`${key}_after`] }));
  return html`
    <section class="card">
      <div class="heading">
        <h2>Before and after</h2>
        <fieldset class="choice">
          <legend class="unseen">Compare by</legend>
          ${Object.entries(FIGURES).map(
            ([one, figure]) => html`
              <label key=${one}><input type="radio" name="compared" checked=${one === key} onChange=${() => choose(one)} /><span>${figure.title}</span></label>
            `,
          )}
        </fieldset>
      </div>
      <${BeforeAfter} rows=${rows} show=${show} caption=${`${title} of each shard before and after the plan`} />
    </section>
  `;
}

function Result({ index, plan, run }) {
  const states = new Map((run?.moves ?? []).map((one) => [one.tenant, one]));
  const moves = plan.moves.map((one) => ({ ...one, ...(states.get(one.tenant) ?? {}), vectors: one.vectors, bytes: one.bytes }));
  return html`
    <dl class="tiles">
      <${Tile} name="Moves" value=${count(plan.moves.length)} />
      <${Tile} name="To copy" value=${bytes(plan.bytes)} />
      <${Tile} name="Takes about" value=${plan.minutes === null ? "unknown" : `${plan.minutes < 1 ? "under 1" : Math.ceil(plan.minutes)} min`} note=${plan.minutes === null ? "nothing was moved yet" : undefined} />
      ${plan.cost > 0 && html`<${Tile} name="Costs" value=${money(plan.cost)} />`}
      ${plan.goals.map((goal) => html`<${Tile} key=${goal.goal} name=${`Skew of ${goal.goal}`} value=${`${goal.before.toFixed(2)} → ${goal.after.toFixed(2)}`} note="1 is even" />`)}
    </dl>
    ${plan.notes.length > 0 && html`<ul class="notes">${plan.notes.map((note) => html`<li key=${note}>${note}</li>`)}</ul>`}
    ${plan.moves.length > 0 &&
    html`
      <${Picture} plan=${plan} />
      <section class="card">
        <h2>Moves</h2>
        <${Table} caption="Moves of the plan" columns=${COLUMNS(index)} rows=${moves} id=${(row) => row.tenant} />
      </section>
    `}
  `;
}

function Run({ index, run }) {
  const over = run.state !== "running";
  return html`
    <div class=${`notice ${over ? (run.failed ? "warning" : "good") : "busy"}`} role="status">
      <div>
        <strong>${over ? "Carried out" : "Being carried out"}:</strong> ${count(run.moved)} of ${count(run.moves.length)} moved${run.failed ? `, ${run.failed} failed` : ""}${run.waiting ? `, ${run.waiting} waiting` : ""}.
        ${" "}<a href=${link(index, "moves")}>See the moves</a>
      </div>
    </div>
  `;
}

export function Plan({ who, index, query }) {
  const [aim, setAim] = useState(AIMS[query.aim] ? query.aim : "balance");
  const [subject, setSubject] = useState(query.subject ?? "");
  const [asked, setAsked] = useState(null);
  const [made, setMade] = useState(null);
  const [run, setRun] = useState(null);
  const [sure, setSure] = useState(false);
  const planning = useAct();
  const executing = useAct();
  const live = useLive();
  const shards = (live.overview?.index === index ? live.overview.report?.shards : null) ?? [];

  const plan = async (event) => {
    event?.preventDefault();
    const form = event ? new FormData(event.target) : new FormData();
    const body = { aim };
    if (SUBJECT[aim]) body.subject = subject;
    for (const [field, divisor] of [["max_moves", 1], ["tolerance", 100]]) {
      if (form.get(field)) body[field] = Number(form.get(field)) / divisor;
    }
    setRun(null);
    const found = await planning.act(() => post(at("indexes", index, "plan"), body));
    setMade(found ?? null);
    setAsked(body);
  };
  useEffect(() => {
    if (query.aim && (!SUBJECT[aim] || subject)) plan();
  }, []);
  const execute = async (form) => {
    const body = { ...asked };
    if (form.get("soak") !== "") body.soak_s = Number(form.get("soak")) * 60;
    const begun = await executing.act(() => post(at("indexes", index, "rebalance"), body));
    if (begun) {
      setSure(false);
      setRun(begun);
      setMade(begun.plan);
    }
  };
  useEvery(1_000, run?.state === "running", async () => setRun(await get(at("indexes", index, "rebalance", run.id)).catch(() => run)));

  return html`
    <div class="heading page-heading"><h1 tabindex="-1">Plan</h1></div>
    <form class="filters card" onSubmit=${plan}>
      <${Field} label="Aim">
        <select value=${aim} onChange=${(event) => setAim(event.target.value)}>
          ${Object.entries(AIMS).map(([key, title]) => html`<option key=${key} value=${key}>${title}</option>`)}
        </select>
      <//>
      ${SUBJECT[aim] &&
      html`
        <${Field} label=${SUBJECT[aim]}>
          <input value=${subject} onInput=${(event) => setSubject(event.target.value)} required list="subjects" autocomplete="off" spellcheck=${false} />
        <//>
        ${aim === "drain" && html`<datalist id="subjects">${shards.map((one) => html`<option key=${one.name} value=${one.name} />`)}</datalist>`}
      `}
      <${Field} label="At most moves"><input name="max_moves" type="number" min="1" placeholder="50" /><//>
      <${Field} label="Tolerance, %"><input name="tolerance" type="number" min="0" step="any" placeholder="10" /><//>
      <button type="submit" class="primary" disabled=${planning.busy}>${planning.busy ? "Planning…" : "Plan"}</button>
    </form>
    <${Problem} error=${planning.error} />
    ${planning.busy && !made && html`<${Loading} what="Measuring and planning" />`}
    ${!made && !planning.busy && !planning.error && html`<${Empty} title="Nothing planned yet">A plan changes nothing until you carry it out.<//>`}
    ${run && html`<${Run} index=${index} run=${run} />`}
    ${made && !run && made.moves.length > 0 && may(who, "control") &&
    html`
      <div class="notice">
        <div>This is a dry run: nothing has changed. When you carry it out, it is planned again from what is measured then.</div>
        <button type="button" class="primary" onClick=${() => setSure(true)}>Carry it out…</button>
      </div>
    `}
    ${made && html`<${Result} index=${index} plan=${made} run=${run} />`}
    ${sure &&
    html`
      <${Ask} title=${`Move ${made.moves.length} tenants?`} verb="Carry it out" act=${executing} close=${() => setSure(false)} send=${execute}>
        <p>${bytes(made.bytes)} are copied. Tenants go on being read and written meanwhile; each move can be paused, and rolled back until its soak ends.</p>
        <${Field} label="Soak, minutes" hint="empty: 10"><input name="soak" type="number" min="0" step="any" /><//>
      <//>
    `}
  `;
}
