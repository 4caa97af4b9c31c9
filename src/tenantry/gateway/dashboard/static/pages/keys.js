// API keys: made, put in place of each other, taken back. A secret is shown once.
import { ask, at, get, post } from "../core/api.js";
import { ago, moment } from "../core/format.js";
import { html, useState } from "../core/html.js";
import { useAct, useLoad } from "../core/load.js";
import { Ask, Dialog, Field } from "../parts/dialog.js";
import { Badge, Copy, Empty, Loaded } from "../parts/states.js";
import { Table } from "../parts/table.js";

const SCOPES = {
  tenant: "Tenant: one tenant's data",
  "tenant-read": "Tenant, read only",
  operator: "Operator: sees and steers, no data",
  reader: "Reader: every tenant's data, read only",
  admin: "Admin: everything",
};
const OF_A_TENANT = ["tenant", "tenant-read"];
const DAY_S = 86_400;

function stateOf(key) {
  if (key.revoked_at !== null) return "revoked";
  return key.expires_at !== null && key.expires_at * 1000 < Date.now() ? "expired" : "active";
}

const reachOf = (key) => [key.index, key.tenant].filter(Boolean).join(" / ") || "everything";

const COLUMNS = (rotate, revoke) => [
  { key: "key", title: "Key", cell: (row) => html`<code>${row.prefix}…</code>` },
  { key: "label", title: "Label", cell: (row) => row.label || html`<span class="muted">none</span>` },
  { key: "scope", title: "Scope", minor: true, cell: (row) => row.scope },
  { key: "of", title: "Reaches", minor: true, cell: (row) => reachOf(row) },
  { key: "state", title: "State", cell: (row) => html`<${Badge}>${stateOf(row)}<//>` },
  { key: "created", title: "Made", number: true, minor: true, cell: (row) => ago(row.created_at) },
  { key: "ends", title: "Ends", number: true, minor: true, cell: (row) => (row.expires_at === null ? "never" : moment(row.expires_at)) },
  {
    key: "do",
    title: html`<span class="unseen">Actions</span>`,
    cell: (row) =>
      stateOf(row) === "active" &&
      html`
        <span class="row tight">
          <button type="button" onClick=${() => rotate(row)} aria-label=${`Rotate key ${row.prefix}`}>Rotate</button>
          <button type="button" class="danger" onClick=${() => revoke(row)} aria-label=${`Revoke key ${row.prefix}`}>Revoke</button>
        </span>
      `,
  },
];

function Create({ index, close, made }) {
  const act = useAct();
  const [scope, setScope] = useState("tenant");
  const bound = OF_A_TENANT.includes(scope);
  const send = async (form) => {
    const body = { scope, label: form.get("label") };
    if (bound) Object.assign(body, { tenant: form.get("tenant"), index });
    if (form.get("days") !== "") body.expires_in_s = Number(form.get("days")) * DAY_S;
    const created = await act.act(() => post("/v1/keys", body));
    if (created) made(created);
  };
  return html`
    <${Ask} title="New key" verb="Make it" act=${act} close=${close} send=${send}>
      <${Field} label="Scope">
        <select value=${scope} onChange=${(event) => setScope(event.target.value)}>
          ${Object.entries(SCOPES).map(([key, title]) => html`<option key=${key} value=${key}>${title}</option>`)}
        </select>
      <//>
      ${bound && html`<${Field} label="Tenant" hint=${`of index ${index}`}><input name="tenant" required autocomplete="off" spellcheck=${false} /><//>`}
      <${Field} label="Label" hint="who has it, and what for"><input name="label" autocomplete="off" /><//>
      <${Field} label="Ends after days" hint="empty: never"><input name="days" type="number" min="0.01" step="any" /><//>
    <//>
  `;
}

function Rotate({ row, close, made }) {
  const act = useAct();
  const send = async (form) => {
    const created = await act.act(() => post(at("keys", row.id, "rotate"), { overlap_s: Number(form.get("hours") || 0) * 3_600 }));
    if (created) made(created);
  };
  return html`
    <${Ask} title=${`Rotate ${row.prefix}…`} verb="Make the new key" act=${act} close=${close} send=${send}>
      <p>A new key for the same, in place of this one.</p>
      <${Field} label="The old one works on for hours" hint="empty: it ends at once"><input name="hours" type="number" min="0" step="any" /><//>
    <//>
  `;
}

function Revoke({ row, close, done }) {
  const act = useAct();
  const send = async () => {
    await act.act(async () => {
      await ask("DELETE", at("keys", row.id));
      done();
    });
  };
  return html`
    <${Ask} title=${`Revoke ${row.prefix}…?`} verb="Revoke" danger act=${act} close=${close} send=${send}>
      <p>Whoever uses it is refused from now on, on every gateway. It cannot be taken back.</p>
    <//>
  `;
}

export function Keys({ index }) {
  const [open, setOpen] = useState(null);
  const [secret, setSecret] = useState(null);
  const keys = useLoad((signal) => get("/v1/keys", {}, { signal }), []);
  const close = () => setOpen(null);
  const made = (created) => {
    close();
    setSecret(created);
    keys.again();
  };
  const rotate = (row) => setOpen({ view: Rotate, row });
  const revoke = (row) => setOpen({ view: Revoke, row });
  return html`
    <div class="heading page-heading">
      <h1 tabindex="-1">Keys</h1><span class="grow"></span>
      <button type="button" class="primary" onClick=${() => setOpen({ view: Create })}>New key…</button>
    </div>
    <${Loaded} from=${keys} what="Loading the keys">
      ${(found) =>
        found.keys.length
          ? html`<section class="card flush"><${Table} caption="API keys" columns=${COLUMNS(rotate, revoke)} rows=${found.keys} id=${(row) => row.id} /></section>`
          : html`<${Empty} title="No key yet">Give everybody one that reaches no more than they need.<//>`}
    <//>
    ${open &&
    html`
      <${open.view}
        row=${open.row}
        index=${index}
        close=${close}
        made=${made}
        done=${() => {
          close();
          keys.again();
        }}
      />
    `}
    ${secret &&
    html`
      <${Dialog} title="The new key" close=${() => setSecret(null)}>
        <div class="stack">
          <p>This is the only time that it is shown. Put it where it is needed.</p>
          <${Copy} text=${secret.secret} label="Secret" />
          <div class="actions"><button type="button" class="primary" onClick=${() => setSecret(null)}>I have it</button></div>
        </div>
      <//>
    `}
  `;
}
