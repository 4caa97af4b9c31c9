// One tenant: where it is, what it does, what happened to it, and the way to another shard.
import { at, get, post } from "../core/api.js";
import { html, useEffect, useState } from "../core/html.js";
import { ENDED, useLive } from "../core/live.js";
import { useAct, useLoad } from "../core/load.js";
import { link } from "../core/route.js";
import { may } from "../core/session.js";
import { CostByDay } from "../parts/days.js";
import { Ask, Field } from "../parts/dialog.js";
import { Empty, Loaded, Problem } from "../parts/states.js";
import { Entries } from "./audit.js";
import { MoveCard, MoveTable } from "./move.js";
import { TenantState } from "./own.js";

export function MoveDialog({ index, tenant, close, begun }) {
  const act = useAct();
  const shards = useLoad((signal) => get(at("indexes", index, "shards"), {}, { signal }), [index]);
  const here = useLoad((signal) => get(at("indexes", index, "tenants", tenant), {}, { signal }), [index, tenant]);
  const send = async (form) => {
    const minutes = form.get("soak");
    const speed = form.get("rate");
    const body = { target: form.get("target"), why: "dashboard" };
    if (minutes !== "") body.soak_s = Number(minutes) * 60;
    if (speed !== "") body.rate = Number(speed);
    const move = await act.act(() => post(at("indexes", index, "tenants", tenant, "move"), body));
    if (move) begun(move);
  };
  const targets = (shards.value?.shards ?? []).filter((one) => one.name !== here.value?.shard && one.state === "active");
  return html`
    <${Ask} title=${`Move ${tenant}`} verb="Begin the move" act=${act} close=${close} send=${send}>
      <p class="muted">It goes on being read and written. Until the soak ends, the move can be rolled back without losing a write.</p>
      <${Loaded} from=${shards} what="Measuring the shards">
        ${() => html`
          <${Field} label="To shard">
            <select name="target" required>
              ${targets.map((one) => html`<option key=${one.name} value=${one.name}>${one.name} (${one.tenants} tenants, ${one.vectors} vectors)</option>`)}
            </select>
          <//>
        `}
      <//>
      <div class="row even">
        <${Field} label="Soak, minutes" hint="empty: 10"><input name="soak" type="number" min="0" step="any" /><//>
        <${Field} label="At most records/s" hint="empty: as load allows"><input name="rate" type="number" min="1" step="any" /><//>
      </div>
    <//>
  `;
}

function Steer({ index, tenant, state, done }) {
  const [asking, setAsking] = useState(false);
  const act = useAct();
  const verb = state === "suspended" ? "resume" : "suspend";
  const send = async () => {
    if ((await act.act(() => post(at("indexes", index, "tenants", tenant, verb)))) === undefined) return;
    setAsking(false);
    done();
  };
  if (verb === "resume") {
    return html`<button type="button" onClick=${send} disabled=${act.busy}>Resume</button><${Problem} error=${act.error} />`;
  }
  return html`
    <button type="button" onClick=${() => setAsking(true)} disabled=${state !== "active"}>Suspend…</button>
    ${asking &&
    html`
      <${Ask} title=${`Suspend ${tenant}?`} verb="Suspend" danger act=${act} close=${() => setAsking(false)} send=${send}>
        <p>All its requests are refused from now on, until it is resumed. Its data stays as it is.</p>
      <//>
    `}
  `;
}

export function Tenant({ who, index, name }) {
  const live = useLive();
  const [moving, setMoving] = useState(false);
  const [round, next] = useState(0);
  const here = useLoad((signal) => get(at("indexes", index, "tenants", name), {}, { signal }), [index, name, live.ended, round]);
  const moves = useLoad((signal) => get(at("indexes", index, "moves"), { tenant: name, limit: 20 }, { signal }), [index, name, live.ended, round]);
  const entries = useLoad((signal) => get("/v1/audit", { index, tenant: name, limit: 20 }, { signal }), [index, name, live.ended, round]);
  const mine = [...live.moves.values()].filter((move) => move.tenant === name);
  const phase = mine.map((move) => move.phase).join();
  useEffect(() => next((old) => old + 1), [phase]);

  const known = new Map([...(moves.value?.moves ?? []), ...mine].map((move) => [move.id, move]));
  const all = [...known.values()].sort((a, b) => b.created_at - a.created_at);
  const open = all.find((move) => !ENDED.has(move.phase));
  return html`
    <p class="crumb"><a href=${link(index, "tenants")}>Tenants</a></p>
    <div class="heading page-heading">
      <h1 tabindex="-1">${name}</h1><span class="grow"></span>
      ${may(who, "control") &&
      html`
        <${Steer} index=${index} tenant=${name} state=${here.value?.state} done=${() => next((old) => old + 1)} />
        <button type="button" class="primary" onClick=${() => setMoving(true)} disabled=${Boolean(open)}>Move…</button>
      `}
    </div>
    ${open && html`<${MoveCard} who=${who} index=${index} move=${open} />`}
    <${TenantState} key=${round} index=${index} tenant=${name} />
    ${may(who, "see") && html`<${CostByDay} index=${index} tenant=${name} />`}
    <section class="card">
      <h2>Moves</h2>
      <${Loaded} from=${moves} what="Loading the moves">
        ${() => (all.length ? html`<${MoveTable} index=${index} moves=${all} />` : html`<${Empty} title="Never moved" />`)}
      <//>
    </section>
    <section class="card">
      <h2>History</h2>
      <${Loaded} from=${entries} what="Loading the audit log">
        ${(page) => (page.entries.length ? html`<${Entries} index=${index} entries=${page.entries} /> ` : html`<${Empty} title="Nothing recorded" />`)}
      <//>
    </section>
    ${moving &&
    html`
      <${MoveDialog}
        index=${index}
        tenant=${name}
        close=${() => setMoving(false)}
        begun=${() => {
          setMoving(false);
          next((old) => old + 1);
        }}
      />
    `}
  `;
}
