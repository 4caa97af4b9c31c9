// What it cost over time, day by day: the whole bill and its dearest parts, or one tenant's part.
import { at, get } from "../core/api.js";
import { money } from "../core/format.js";
import { html, useMemo } from "../core/html.js";
import { useLoad } from "../core/load.js";
import { Chart } from "./chart.js";
import { Empty, Loaded } from "./states.js";

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

export function CostByDay({ index, tenant }) {
  const asked = { days: DAYS, top: 20, ...(tenant ? { tenant } : {}) };
  const history = useLoad((signal) => get(at("indexes", index, "cost", "history"), asked, { signal }), [index, tenant]);
  return html`
    <section class="card">
      <div class="heading"><h2>Cost over time</h2><small>a month like each day</small></div>
      <${Loaded} from=${history} what="Adding up the days">
        ${(found) => (found.days.length ? html`<${Lines} history=${found} tenant=${tenant} />` : html`<${Empty} title="Nothing was counted yet" />`)}
      <//>
    </section>
  `;
}
