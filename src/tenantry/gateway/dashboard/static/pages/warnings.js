// Warnings, each with what to do about it.
import { at, post } from "../core/api.js";
import { ago, words } from "../core/format.js";
import { html, useState } from "../core/html.js";
import { useAct } from "../core/load.js";
import { link } from "../core/route.js";
import { may } from "../core/session.js";
import { Ask } from "../parts/dialog.js";
import { Badge, Copy, Empty, Good, Problem } from "../parts/states.js";

// So many are shown before one asks for more: the shards should be in sight.
const SHOWN = 4;

// What the page has for a recommended command: a page that does it, or a request.
export function actionOf(index, command) {
  const [, group, verb, target] = words(command);
  const plan = (aim, subject) => link(index, "plan", null, { aim, subject });
  if (group === "rebalance") return { title: "Plan a rebalance", href: plan("balance") };
  if (group === "verify-routing") return { title: "Compare and heal", does: "heal", right: "control" };
  switch (`${group} ${verb}`) {
    case "tenant isolate":
      return { title: `Plan to isolate ${target}`, href: plan("isolate", target) };
    case "shard consolidate":
      return { title: "Plan to consolidate", href: plan("consolidate") };
    case "shard show":
      return { title: "Show its tenants", href: link(index, "tenants", null, { shard: target }) };
    case "shard add":
      return { title: `Add shard ${target}`, does: "add", target, right: "admin" };
    default:
      return null;
  }
}

function Heal({ index, title, done }) {
  const { busy, error, act } = useAct();
  const [report, setReport] = useState(null);
  const heal = async () => {
    const found = await act(() => post(at("indexes", index, "verify-routing"), { heal: true }));
    if (found) {
      setReport(found);
      done();
    }
  };
  return html`
    <button type="button" class="primary" disabled=${busy} onClick=${heal}>${busy ? "Comparing…" : title}</button>
    <${Problem} error=${error} />
    ${report && html`<${Good}>Compared ${report.tenants} tenants on ${report.shards} shards; ${report.problems.length} problems were found.<//>`}
  `;
}

function Add({ index, title, target, done }) {
  const [open, setOpen] = useState(false);
  const act = useAct();
  const send = async () => {
    if (await act.act(() => post(at("indexes", index, "shards"), { name: target }))) {
      setOpen(false);
      done();
    }
  };
  return html`
    <button type="button" class="primary" onClick=${() => setOpen(true)}>${title}</button>
    ${open &&
    html`
      <${Ask} title=${`Add shard ${target}?`} verb="Add it" act=${act} close=${() => setOpen(false)} send=${send}>
        <p>A shard on the default backend, without limits. New tenants go there from now on; nobody moves by itself.</p>
      <//>
    `}
  `;
}

function Action({ who, index, command, done }) {
  const action = actionOf(index, command);
  if (!action || (action.right && !may(who, action.right))) return null;
  if (action.href) return html`<a class="button primary" href=${action.href}>${action.title}</a>`;
  const View = action.does === "heal" ? Heal : Add;
  return html`<${View} index=${index} title=${action.title} target=${action.target} done=${done} />`;
}

// Warnings of one kind that one command mends stand together; the most severe first, as they come.
export function grouped(warnings) {
  const groups = new Map();
  for (const one of warnings) {
    const key = `${one.severity}/${one.kind}/${one.command}`;
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  return [...groups.entries()];
}

const Message = ({ index, one }) => html`
  <div class="message">
    <div class="row">
      <strong class="grow">${one.message}</strong>
      <small>${one.since ? `for ${ago(one.since).replace(" ago", "")}` : "new"}</small>
    </div>
    ${one.tenants.length > 0 &&
    html`<p class="behind">Behind it: ${one.tenants.map((tenant) => html`<a key=${tenant} href=${link(index, "tenants", tenant)}>${tenant}</a> `)}</p>`}
  </div>
`;

function Group({ who, index, warnings, done }) {
  const [{ severity, command }] = warnings;
  const [first, ...more] = warnings.map((one) => html`<${Message} key=${one.subject} index=${index} one=${one} />`);
  return html`
    <li class=${`card warning-card ${severity}`}>
      <div class="row top-aligned"><${Badge}>${severity}<//><div class="grow">${first}</div></div>
      ${more.length > 0 && html`<details><summary>${more.length} more like it</summary><div class="stack close">${more}</div></details>`}
      <div class="row">
        <${Action} who=${who} index=${index} command=${command} done=${done} />
        <${Copy} text=${command} label="Command" />
      </div>
    </li>
  `;
}

export function Warnings({ who, index, warnings, done }) {
  const [all, setAll] = useState(false);
  if (!warnings.length) return html`<${Empty} title="All is well">No warning stands.<//>`;
  const groups = grouped(warnings);
  const shown = all ? groups : groups.slice(0, SHOWN);
  return html`
    <ul class="warnings">
      ${shown.map(([key, group]) => html`<${Group} key=${key} who=${who} index=${index} warnings=${group} done=${done} />`)}
    </ul>
    ${groups.length > SHOWN && html`<button type="button" class="quiet" aria-expanded=${all} onClick=${() => setAll(!all)}>${all ? "Show fewer" : `Show ${groups.length - SHOWN} more`}</button>`}
  `;
}
