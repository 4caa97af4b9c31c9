// What it cost over time, day by day: the whole bill and its dearest parts, or one tenant's part.
import { at, get } from "../core/api.js";
import { money } from "../core/format.js";
import { html, useMemo } from "../core/html.js";
import { useLoad } from "../core/load.js";
import { Chart } from "./chart.js";
import { Empty, Loaded } from "./states.js";

const today = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "long", timeZone: "UTC" });
const DAYS = 30;
const DEAREST = 5;

// The names whose parts were largest of late, dearest first.
function dearest(days) {
  const sums = new Map();
  for (const day of days) for (const one of day.tenants) sums.set(one.tenant, (sums.get(one.tenant) ?? 0) + one.cost);
  return [...sums].sort((a, b) => b[1] - a[1]).slice(0, DEAREST).map(([name]) => name);
}

function Lines({ history, tenant }) {
  const moments = useMemo(() => history.days.map((day) => day.start), [history]);
  const series = useMemo(() => {
    const part = (name) => ({ name, values: history.days.map((day) => day.tenants.find((one) => one.tenant === name)?.cost ?? null) });
    if (tenant) return [part(tenant)];
    return [{ name: "everything", values: history.days.map((day) => day.monthly) }, ...dearest(history.days).map(part)];
  }, [history, tenant]);
  return html`<${Chart} at=${moments} series=${series} show=${(value) => money(value, history.currency)} label="Cost over time" />`;
}

// One day makes no line.
function OneDay({ history, tenant }) {
  const [day] = history.days;
  const value = tenant ? (day.tenants[0]?.cost ?? 0) : day.monthly;
  return html`<p class="muted">Counted since ${today.format(new Date(day.start * 1000))}: a month like that day costs ${money(value, history.currency)}.</p>`;
}

export function CostByDay({ index, tenant }) {
  const asked = { days: DAYS, top: 20, ...(tenant ? { tenant } : {}) };
  const history = useLoad((signal) => get(at("indexes", index, "cost", "history"), asked, { signal }), [index, tenant]);
  return html`
    <section class="card">
      <div class="heading"><h2>Cost over time</h2><small>a month like each day</small></div>
      <${Loaded} from=${history} what="Adding up the days">
        ${(found) => {
          const Shown = found.days.length > 1 ? Lines : OneDay;
          return found.days.length ? html`<${Shown} history=${found} tenant=${tenant} />` : html`<${Empty} title="Nothing was counted yet" />`;
        }}
      <//>
    </section>
  `;
}
