// A move: how far it is, what can be done with it, and the proof that nothing was lost.
import { at, post } from "../core/api.js";
import { ago, bytes, count, duration, millis, moment, percent, rate } from "../core/format.js";
import { html, useState } from "../core/html.js";
import { ENDED } from "../core/live.js";
import { useAct } from "../core/load.js";
import { link } from "../core/route.js";
import { may } from "../core/session.js";
import { Ask } from "../parts/dialog.js";
import { Badge, Facts, Mind, Problem, Progress } from "../parts/states.js";
import { Table } from "../parts/table.js";

const WAY = ["prepare", "capture", "copy", "catch-up", "verify", "flip", "settle", "soak", "close", "clean", "done"];
const BEFORE_COMMIT = new Set(WAY.slice(0, 6));

// What may be asked of a move where it stands.
export function verbsOf(move) {
  if (ENDED.has(move.phase) || move.outcome) return [];
  const verbs = [];
  const pausable = BEFORE_COMMIT.has(move.phase) || move.phase === "soak";
  if (move.wish === "pause") verbs.push("resume");
  else if (pausable && move.wish === "run") verbs.push("pause");
  if (BEFORE_COMMIT.has(move.phase) && move.wish !== "cancel") verbs.push("cancel");
  if (move.phase === "soak" && move.wish !== "roll-back") verbs.push("finalise", "rollback");
  return verbs;
}

const VERBS = {
  pause: { title: "Pause" },
  resume: { title: "Go on" },
  finalise: { title: "End the soak", sure: "The move becomes final now: it can be moved back, but not rolled back. The old copy is kept for a week." },
  cancel: { title: "Cancel", danger: true, sure: "The tenant stays where it is; what was copied is dropped. Nothing is lost." },
  rollback: { title: "Roll back", danger: true, sure: "The tenant goes back to where it was, with all writes since the switch." },
};

function Verb({ index, move, verb }) {
  const [asking, setAsking] = useState(false);
  const act = useAct();
  const { title, sure, danger } = VERBS[verb];
  const send = async () => {
    if (await act.act(() => post(at("indexes", index, "moves", move.id, verb)))) setAsking(false);
  };
  return html`
    <button type="button" class=${danger ? "danger" : ""} disabled=${act.busy} onClick=${() => (sure ? setAsking(true) : send())}>${title}</button>
    ${!sure && html`<${Problem} error=${act.error} />`}
    ${asking &&
    html`<${Ask} title=${`${title}: ${move.tenant}`} verb=${title} danger=${danger} act=${act} close=${() => setAsking(false)} send=${send}><p>${sure}</p><//>`}
  `;
}

function told(move) {
  const { progress } = move;
  if (move.phase === "copy" || move.phase === "catch-up") {
    const parts = [`${count(progress.copied)} of ${count(progress.vectors)} records`, bytes(progress.copied_bytes)];
    if (progress.rate) parts.push(`${rate(progress.rate)}/s`);
    if (progress.eta_s) parts.push(`${duration(progress.eta_s)} left`);
    return parts.join(" · ");
  }
  if (move.phase === "soak" && move.soak_until) return `can be rolled back until ${moment(move.soak_until)}`;
  return progress.passes ? `${count(progress.copied)} records copied` : "";
}

// `whole`: its details are on the same page.
export function MoveCard({ who, index, move, whole = false }) {
  const share = ENDED.has(move.phase) ? 1 : (WAY.indexOf(move.phase) + (move.phase === "copy" ? move.progress.share : 0)) / (WAY.length - 1);
  return html`
    <article class="card move" aria-label=${`Move of ${move.tenant}`}>
      <div class="row">
        <strong><a href=${link(index, "tenants", move.tenant)}>${move.tenant}</a></strong>
        <span class="muted">${move.source} → ${move.target}</span>
        <span class="grow"></span>
        ${move.wish === "pause" && html`<${Badge} tone="warning">paused<//>`}
        <${Badge} tone=${ENDED.has(move.phase) ? undefined : "busy"}>${move.phase}<//>
      </div>
      <${Progress} share=${Math.max(0, share)} label=${`Progress of the move of ${move.tenant}`} />
      <div class="row">
        <small class="grow">${told(move)}${move.lag ? ` · ${count(move.lag)} writes behind` : ""}</small>
        ${may(who, "control") && verbsOf(move).map((verb) => html`<${Verb} key=${verb} index=${index} move=${move} verb=${verb} />`)}
        ${!whole && html`<a class="button" href=${link(index, "moves", move.id)}>Details</a>`}
      </div>
      ${move.error && html`<${Mind}>${move.error}<//>`}
    </article>
  `;
}

const COLUMNS = (index) => [
  { key: "tenant", title: "Tenant", tight: true, cell: (move) => html`<a href=${link(index, "tenants", move.tenant)}>${move.tenant}</a>` },
  { key: "way", title: "From → to", cell: (move) => `${move.source} → ${move.target}` },
  { key: "phase", title: "State", cell: (move) => html`<${Badge}>${move.phase}<//>` },
  { key: "copied", title: "Records", number: true, minor: true, cell: (move) => count(move.progress.copied) },
  { key: "held", title: "Writes held", number: true, minor: true, cell: (move) => millis(move.flip_ms) },
  { key: "begun", title: "Begun", number: true, minor: true, cell: (move) => ago(move.created_at) },
  { key: "more", title: html`<span class="unseen">Details</span>`, cell: (move) => html`<a href=${link(index, "moves", move.id)} aria-label=${`Details of the move of ${move.tenant}`}>Details</a>` },
];

export const MoveTable = ({ index, moves }) => html`<${Table} caption="Moves" columns=${COLUMNS(index)} rows=${moves} id=${(move) => move.id} />`;

export function Details({ move }) {
  const { proof } = move;
  const phases = Object.entries(move.started).sort(([, a], [, b]) => a - b);
  return html`
    <section class="card">
      <h2>Proof</h2>
      ${proof
        ? html`
            <p>Every record was compared on both sides before the switch. ${proof.missing + proof.extra + proof.different === 0 ? "Nothing differed." : "What differed was healed and compared again."}</p>
            <${Facts}
              rows=${[
                ["Records compared", count(proof.records)],
                ["Digest of all", html`<code class="digest">${proof.digest}</code>`],
                ["Missing, extra, different at first", `${count(proof.missing)}, ${count(proof.extra)}, ${count(proof.different)}`],
                ["Rounds", count(proof.rounds)],
                ["Own vectors asked of both sides", `${count(proof.samples)}; ${percent(proof.overlap)} of hits alike`],
                ["Writes meanwhile", proof.log_to < proof.log_from ? "none" : `log entries ${count(proof.log_from)} to ${count(proof.log_to)}`],
                ["Verified", `${moment(proof.verified_at)}, in ${duration(proof.took_s)}`],
              ]}
            />
          `
        : html`<p class="muted">It is made before the switch.</p>`}
    </section>
    <section class="card">
      <h2>Course</h2>
      <ol class="course">
        ${phases.map(([phase, began], number) => html`
          <li key=${phase}><span>${phase}</span><small>${moment(began)}</small><small class="number">${phases[number + 1] ? duration(phases[number + 1][1] - began) : ""}</small></li>
        `)}
      </ol>
      <${Facts}
        rows=${[
          ["Asked for by", move.why],
          ["Namespaces", html`<code>${move.source_namespace}</code> → <code>${move.target_namespace}</code>`],
          ["Writes held at the switch", millis(move.flip_ms)],
          ["At the way back", move.back_ms === null ? undefined : millis(move.back_ms)],
          ["Soak", duration(move.options.soak_s)],
          ["Old copy is kept", duration(move.options.retention_s)],
          ["Move", html`<code>${move.id}</code>`],
        ]}
      />
    </section>
  `;
}
