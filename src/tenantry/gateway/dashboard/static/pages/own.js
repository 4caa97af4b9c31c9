// What keys see that may not look at the cluster: one tenant, their own, or for readers one that they name.
import { get, at } from "../core/api.js";
import { bytes, count, duration, millis, moment, percent, rate } from "../core/format.js";
import { html, useState } from "../core/html.js";
import { useLoad } from "../core/load.js";
import { Badge, Empty, Facts, Loaded, Tile } from "../parts/states.js";

export function TenantState({ index, tenant }) {
  const found = useLoad(
    (signal) => Promise.all([get(at("indexes", index, "tenants", tenant), {}, { signal }), get(at("indexes", index, "tenants", tenant, "readings"), {}, { signal })]),
    [index, tenant],
  );
  return html`
    <${Loaded} from=${found} what="Loading the tenant">
      ${([shown, load]) => html`
        <dl class="tiles">
          <${Tile} name="Vectors" value=${count(shown.vectors)} />
          <${Tile} name="Stored" value=${bytes(shown.bytes)} />
          <${Tile} name="Operations/s" value=${rate(load.per_second)} note=${`over ${duration(load.window_s)}`} />
          <${Tile} name="P95 of queries" value=${millis(load.p95_ms)} note=${`${count(load.queries)} queries`} />
          <${Tile} name="Errors" value=${percent(load.error_rate)} />
        </dl>
        <section class="card">
          <h2>Placement</h2>
          <${Facts}
            rows=${[
              ["State", html`<${Badge}>${shown.state}<//>`],
              ["Shard", shown.shard],
              ["Namespace", html`<code>${shown.namespace}</code>`],
              ["Writes go", shown.mode === "direct" ? "to the shard" : `through the log (${shown.mode})`],
              ["Route epoch", count(shown.epoch)],
              ["Asked for", asked(shown.spec)],
              ["Created", moment(shown.created_at)],
              ["Trouble", shown.error ?? undefined],
            ]}
          />
        </section>
      `}
    <//>
  `;
}

function asked(spec) {
  const wishes = [
    spec.dedicated && "a shard of its own",
    spec.shard && `shard ${spec.shard}`,
    spec.region && `region ${spec.region}`,
    spec.tier && `tier ${spec.tier}`,
    spec.expected_vectors > 0 && `room for ${count(spec.expected_vectors)} vectors`,
  ].filter(Boolean);
  return wishes.length ? wishes.join(", ") : "nothing in particular";
}

export function Own({ who, index }) {
  const [name, setName] = useState(who.tenant);
  const submitted = (event) => {
    event.preventDefault();
    setName(new FormData(event.target).get("tenant").trim() || null);
  };
  return html`
    <h1 tabindex="-1">${name ?? "Tenants"}</h1>
    ${!who.tenant &&
    html`
      <form class="filters" onSubmit=${submitted} role="search">
        <label class="field"><span>Tenant</span><input name="tenant" required autocomplete="off" /></label>
        <button type="submit" class="primary">Show</button>
      </form>
    `}
    ${name ? html`<${TenantState} key=${name} index=${index} tenant=${name} />` : html`<${Empty} title="Name a tenant">This key may look at any tenant, but not list them.<//>`}
  `;
}
