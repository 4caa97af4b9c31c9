// The auto-pilot: what it may do, what it has used of that, and its record of what it did or would do.
import { ask, at, get } from "../core/api.js";
import { bytes, count, duration, moment, money } from "../core/format.js";
import { html, useState } from "../core/html.js";
import { useAct, useEvery, useLoad } from "../core/load.js";
import { link } from "../core/route.js";
import { may } from "../core/session.js";
import { Ask, Field } from "../parts/dialog.js";
import { Badge, Empty, Facts, Loaded } from "../parts/states.js";
import { Table } from "../parts/table.js";

const LOOK_MS = 5_000;
const PAGE = 50;
const STANCES = {
  off: { title: "Off", told: "It does nothing by itself." },
  observe: { title: "Observe", told: "It writes down which moves it would make, and makes none. Begin with this." },
  on: { title: "On", told: "It moves tenants when warnings stand, within its windows and budgets." },
};

function Change({ policy, close, done }) {
  const [stance, setStance] = useState(policy.stance);
  const act = useAct();
  const send = async (form) => {
    const body = { stance, windows: form.get("windows").split("\n").map((one) => one.trim()).filter(Boolean) };
    body.moves_per_hour = Number(form.get("moves"));
    body.bytes_per_hour = form.get("gib") === "" ? null : Math.round(Number(form.get("gib")) * 2 ** 30);
    body.dollars_per_day = Number(form.get("money"));
    if (await act.act(() => ask("PUT", "/v1/autopilot", { body }))) done();
  };
  return html`
    <${Ask} title="Auto-pilot" verb=${stance === "on" ? "Let it move tenants" : "Set it so"} danger=${stance === "on"} act=${act} close=${close} send=${send}>
      <${Field} label="It is" hint=${STANCES[stance].told}>
        <select value=${stance} onChange=${(event) => setStance(event.target.value)}>
          ${Object.entries(STANCES).map(([key, one]) => html`<option key=${key} value=${key}>${one.title}</option>`)}
        </select>
      <//>
      <${Field} label="Windows" hint="one a line, such as Sat 02:00-05:00 UTC, or always; to be on it needs one">
        <textarea name="windows" rows="3" spellcheck=${false}>${policy.windows.join("\n")}</textarea>
      <//>
      <${Field} label="Moves an hour"><input name="moves" type="number" min="1" max="100" required value=${policy.moves_per_hour} /><//>
      <${Field} label="GiB an hour" hint="empty: no limit"><input name="gib" type="number" min="0" step="any" value=${policy.bytes_per_hour === null ? "" : policy.bytes_per_hour / 2 ** 30} /><//>
      <${Field} label="Cost of moves a day"><input name="money" type="number" min="0" step="any" required value=${policy.dollars_per_day} /><//>
    <//>
  `;
}

function windowOf(status) {
  if (!status.policy.windows.length) return "none: at any time";
  const now = status.open_until ? `open until ${moment(status.open_until)}` : `closed; opens ${moment(status.next_opening)}`;
  return `${status.policy.windows.join("; ")} (${now})`;
}

function Status({ status }) {
  const { policy, halt } = status;
  const most = policy.bytes_per_hour === null ? "no limit" : bytes(policy.bytes_per_hour);
  return html`
    ${halt &&
    html`
      <div class="notice critical" role="alert">
        <div><strong>It has stopped</strong> (${moment(halt.at)}, index ${halt.index}): ${halt.why}. See to the cause, then set it again.</div>
      </div>
    `}
    <section class="card">
      <div class="heading">
        <h2>What it may do</h2>
        <${Badge} tone=${policy.stance === "on" ? "busy" : policy.stance === "observe" ? "good" : ""}>${STANCES[policy.stance].title}<//>
      </div>
      <p>${STANCES[policy.stance].told}</p>
      <${Facts}
        rows=${[
          ["Windows", windowOf(status)],
          ["Moves in the last hour", `${count(status.moves_last_hour)} of ${count(policy.moves_per_hour)}`],
          ["Copied in the last hour", `${bytes(status.bytes_last_hour)} of ${most}`],
          ["Cost in the last day", `${money(status.cost_last_day, status.currency)} of ${money(policy.dollars_per_day, status.currency)}`],
          ["Under way", `${count(status.open_moves)} moves`],
          ["Tenants rest", duration(policy.tenant_cool_down_s)],
          ["Shards rest", duration(policy.shard_cool_down_s)],
          ["Acts on warnings that stood for", `${count(policy.periods)} checks`],
          ["Stops at", `${Math.round(policy.errors_more * 100)}% more failures, or ${policy.p95_times} times the P95`],
          ["Set so since", status.since ? moment(status.since) : undefined],
        ]}
      />
    </section>
  `;
}

const COLUMNS = (index) => [
  { key: "at", title: "At", tight: true, cell: (row) => moment(row.at) },
  { key: "what", title: "What", cell: (row) => html`<${Badge} tone=${row.kind === "halt" ? "critical" : undefined}>${row.outcome ?? row.kind}<//>` },
  { key: "tenant", title: "Tenant", cell: (row) => row.tenant && html`<a href=${link(row.index, "tenants", row.tenant)}>${row.tenant}</a>` },
  { key: "way", title: "From → to", minor: true, cell: (row) => row.source && `${row.source} → ${row.target}` },
  { key: "bytes", title: "Size", number: true, minor: true, cell: (row) => (row.tenant ? bytes(row.bytes) : "") },
  { key: "why", title: "Why", cell: (row) => row.why },
  { key: "move", title: html`<span class="unseen">Move</span>`, cell: (row) => row.move && html`<a href=${link(index, "moves", row.move)} aria-label=${`Move of ${row.tenant}`}>Move</a>` },
];

export function Autopilot({ who, index }) {
  const [setting, setSetting] = useState(false);
  const [before, setBefore] = useState([]);
  const status = useLoad((signal) => get("/v1/autopilot", {}, { signal }), []);
  const record = useLoad((signal) => get(at("autopilot", "history"), { index, limit: PAGE, before: before.at(-1) }, { signal }), [index, before]);
  const look = () => {
    status.refresh();
    record.refresh();
  };
  useEvery(LOOK_MS, !setting, look);
  return html`
    <div class="heading page-heading">
      <h1 tabindex="-1">Auto-pilot</h1><span class="grow"></span>
      ${may(who, "control") && status.value && html`<button type="button" class="primary" onClick=${() => setSetting(true)}>Set…</button>`}
    </div>
    <${Loaded} from=${status} what="Asking how it stands">${(found) => html`<${Status} status=${found} />`}<//>
    <section class="card">
      <h2>What it did or would do</h2>
      <${Loaded} from=${record} what="Loading the record">
        ${({ entries }) => html`
          ${entries.length ? html`<${Table} caption="Record of the auto-pilot" columns=${COLUMNS(index)} rows=${entries} id=${(row) => row.seq} />` : html`<${Empty} title="Nothing yet">It was never on, or no warning stood.<//>`}
          <nav class="pager" aria-label="Pages of the record">
            <button type="button" disabled=${!before.length} onClick=${() => setBefore(before.slice(0, -1))}>Newer</button>
            <button type="button" disabled=${entries.length < PAGE} onClick=${() => setBefore([...before, entries.at(-1).seq])}>Older</button>
          </nav>
        `}
      <//>
    </section>
    ${setting &&
    status.value &&
    html`
      <${Change}
        policy=${status.value.policy}
        close=${() => setSetting(false)}
        done=${() => {
          setSetting(false);
          look();
        }}
      />
    `}
  `;
}
