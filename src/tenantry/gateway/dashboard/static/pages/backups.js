// Backups: made, tested, listed; and the jobs that do it.
import { at, get, post } from "../core/api.js";
import { ago, bytes, compact, count, duration, moment } from "../core/format.js";
import { html, useState } from "../core/html.js";
import { useAct, useEvery, useLoad } from "../core/load.js";
import { Ask, Field } from "../parts/dialog.js";
import { Badge, Empty, Loaded, Problem, Progress } from "../parts/states.js";
import { Table } from "../parts/table.js";

const KINDS = { backup: "Backup", verify: "Test", prune: "Removal of old ones", restore: "Restore" };

function Job({ job, again }) {
  const { progress } = job;
  const act = useAct();
  const cancel = async () => {
    await act.act(() => post(at("jobs", job.id, "cancel")));
    again();
  };
  return html`
    <article class="card move" aria-label=${`${KINDS[job.kind] ?? job.kind} ${job.id}`}>
      <div class="row">
        <strong class="grow">${KINDS[job.kind] ?? job.kind}</strong>
        <small>${ago(job.started_at)}${job.ended_at ? `, took ${duration(job.ended_at - job.started_at)}` : ""}</small>
        <${Badge}>${job.state}<//>
        ${job.state === "running" && html`<button type="button" onClick=${cancel} disabled=${act.busy}>Stop</button>`}
      </div>
      ${job.state === "running" && html`<${Progress} share=${progress.tenants ? progress.tenants_done / progress.tenants : undefined} label="Progress of the job" />`}
      ${job.error && html`<${Problem} error=${{ message: job.error }} />`}
      ${job.kind === "verify" && job.result && html`<${Verdict} result=${job.result} />`}
    </article>
  `;
}

function Verdict({ result }) {
  const faults = result.faults ?? [];
  if (!faults.length) return html`<p>It is whole: ${count(result.tenants)} tenants with ${count(result.records)} records were read and compared.</p>`;
  return html`<${Problem} error=${{ message: `${count(faults.length)} faults, the first: ${faults[0].tenant ? `${faults[0].tenant}: ` : ""}${faults[0].error}` }} />`;
}

const COLUMNS = (test) => [
  { key: "id", title: "Backup", cell: (row) => html`<code>${row.id}</code>` },
  { key: "of", title: "Of", minor: true, cell: (row) => row.scope || "everything" },
  { key: "tenants", title: "Tenants", number: true, cell: (row) => count(row.totals?.tenants) },
  { key: "vectors", title: "Vectors", number: true, minor: true, cell: (row) => compact(row.totals?.records) },
  { key: "bytes", title: "Size", number: true, minor: true, cell: (row) => bytes(row.totals?.stored_bytes) },
  { key: "at", title: "State of", number: true, cell: (row) => (row.error ? html`<${Badge} tone="critical">unreadable<//>` : moment(row.catalog_at)) },
  { key: "test", title: html`<span class="unseen">Test</span>`, cell: (row) => html`<button type="button" onClick=${() => test(row.id)} aria-label=${`Test backup ${row.id}`}>Test</button>` },
];

function Create({ index, close, begun }) {
  const act = useAct();
  const send = async (form) => {
    const body = { full: form.get("full") === "on" };
    const tenant = form.get("tenant").trim();
    if (tenant) Object.assign(body, { tenant, index });
    if (await act.act(() => post("/v1/backups", body))) begun();
  };
  return html`
    <${Ask} title="Back up" verb="Begin" act=${act} close=${close} send=${send}>
      <p class="muted">Each tenant is kept as it is at one instant, while it goes on being used. What has not changed since the last backup is not copied again.</p>
      <${Field} label="Only this tenant" hint="empty: everything"><input name="tenant" autocomplete="off" spellcheck=${false} /><//>
      <label class="check"><input type="checkbox" name="full" /> Copy everything again</label>
    <//>
  `;
}

function Schedule() {
  const found = useLoad((signal) => get("/v1/backups/schedule", {}, { signal }), []);
  if (!found.value) return null;
  const { every_s, hourly, daily, weekly } = found.value;
  if (every_s === null) return html`<p class="muted">No backup is made by itself. Set that with <code>tenantry backup schedule</code>.</p>`;
  return html`<p class="muted">One is made every ${duration(every_s)}; kept are ${hourly} hourly, ${daily} daily and ${weekly} weekly ones.</p>`;
}

export function Backups({ index }) {
  const [making, setMaking] = useState(false);
  const act = useAct();
  const jobs = useLoad((signal) => get("/v1/jobs", {}, { signal }), []);
  const running = (jobs.value?.jobs ?? []).filter((job) => job.state === "running").length;
  const ended = (jobs.value?.jobs ?? []).length - running;
  const backups = useLoad((signal) => get("/v1/backups", {}, { signal }), [ended]);
  useEvery(1_000, running > 0, jobs.refresh);
  const test = async (id) => {
    await act.act(() => post(at("backups", id, "verify")));
    jobs.again();
  };
  return html`
    <div class="heading page-heading">
      <h1 tabindex="-1">Backups</h1><span class="grow"></span>
      <button type="button" class="primary" onClick=${() => setMaking(true)}>Back up…</button>
    </div>
    <${Schedule} />
    <${Problem} error=${act.error} />
    ${jobs.value?.jobs.length > 0 && html`<section aria-label="Jobs"><h2>Jobs of this gateway</h2>${jobs.value.jobs.slice(0, 5).map((job) => html`<${Job} key=${job.id} job=${job} again=${jobs.again} />`)}</section>`}
    <section class="card">
      <h2>Kept</h2>
      <${Loaded} from=${backups} what="Looking into the archive">
        ${(found) => (found.backups.length ? html`<${Table} caption="Backups" columns=${COLUMNS(test)} rows=${found.backups} id=${(row) => row.id} />` : html`<${Empty} title="No backup yet" />`)}
      <//>
    </section>
    ${making &&
    html`
      <${Create}
        index=${index}
        close=${() => setMaking(false)}
        begun=${() => {
          setMaking(false);
          jobs.again();
        }}
      />
    `}
  `;
}
