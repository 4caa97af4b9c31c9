// Who did what, and whether the log is whole.
import { get, post } from "../core/api.js";
import { count, moment } from "../core/format.js";
import { html, useState } from "../core/html.js";
import { useAct, useLoad } from "../core/load.js";
import { link } from "../core/route.js";
import { Badge, Empty, Good, Loaded, Problem } from "../parts/states.js";
import { Table } from "../parts/table.js";

const PAGE = 50;

function detailOf(entry) {
  const parts = Object.entries(entry.detail).filter(([, value]) => value !== null && value !== "");
  return parts.map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : value}`).join(", ");
}

const COLUMNS = (index) => [
  { key: "seq", title: "No.", number: true, minor: true, cell: (row) => count(row.seq) },
  { key: "at", title: "When", cell: (row) => moment(row.at) },
  { key: "action", title: "Action", cell: (row) => html`<code>${row.action}</code>` },
  { key: "about", title: "About", cell: (row) => (row.tenant ? html`<a href=${link(row.index ?? index, "tenants", row.tenant)}>${row.tenant}</a>` : (row.shard ?? row.subject ?? row.index ?? "")) },
  { key: "who", title: "Who", minor: true, cell: (row) => row.actor },
  { key: "result", title: "Result", cell: (row) => html`<${Badge} tone=${row.result === "ok" || row.result === "begun" ? undefined : "warning"}>${row.result}<//>` },
  { key: "detail", title: "Detail", minor: true, cell: (row) => html`<span class="clip" title=${detailOf(row)}>${detailOf(row)}</span>` },
];

export const Entries = ({ index, entries }) => html`<${Table} caption="Audit log" columns=${COLUMNS(index)} rows=${entries} id=${(row) => row.seq} />`;

function Verify() {
  const { busy, error, act } = useAct();
  const [proof, setProof] = useState(null);
  const verify = async () => setProof((await act(() => post("/v1/audit/verify"))) ?? null);
  return html`
    <button type="button" class="primary" onClick=${verify} disabled=${busy}>${busy ? "Verifying…" : "Verify"}</button>
    <div class="wide">
      <${Problem} error=${error} />
      ${proof?.whole && html`<${Good}>The log is whole: ${count(proof.entries)} entries, ${count(proof.first)} to ${count(proof.last)}, each chained to the one before. Head: <code class="digest">${proof.head}</code><//>`}
      ${proof && !proof.whole && html`<${Problem} error=${{ message: `The log is not whole: ${proof.flaws.map((one) => `${one.seq}: ${one.what}`).join("; ")}` }} />`}
    </div>
  `;
}

export function Audit({ index }) {
  const [filter, setFilter] = useState({});
  const [before, setBefore] = useState([]);
  const found = useLoad((signal) => get("/v1/audit", { ...filter, limit: PAGE, before: before.at(-1) }, { signal }), [filter, before]);
  const submitted = (event) => {
    event.preventDefault();
    const form = Object.fromEntries(new FormData(event.target));
    setBefore([]);
    setFilter({ action: form.action.trim(), tenant: form.tenant.trim(), actor: form.actor.trim() });
  };
  return html`
    <div class="heading page-heading wrap"><h1 tabindex="-1">Audit</h1><span class="grow"></span><${Verify} /></div>
    <form class="filters" role="search" onSubmit=${submitted}>
      <label class="field"><span>Action</span><input name="action" placeholder="move.start" autocomplete="off" spellcheck=${false} /></label>
      <label class="field"><span>Tenant</span><input name="tenant" autocomplete="off" spellcheck=${false} /></label>
      <label class="field"><span>Who</span><input name="actor" autocomplete="off" spellcheck=${false} /></label>
      <button type="submit">Find</button>
    </form>
    <${Loaded} from=${found} what="Loading the audit log">
      ${(page) => html`
        ${page.entries.length ? html`<section class="card flush"><${Entries} index=${index} entries=${page.entries} /></section>` : html`<${Empty} title="Nothing recorded">No entry fits.<//>`}
        <nav class="pager" aria-label="Pages of the audit log">
          <button type="button" disabled=${!before.length} onClick=${() => setBefore(before.slice(0, -1))}>Newer</button>
          <button type="button" disabled=${!page.next} onClick=${() => setBefore([...before, page.next])}>Older</button>
        </nav>
      `}
    <//>
  `;
}
