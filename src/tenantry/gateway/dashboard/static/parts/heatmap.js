// Shards side by side, coloured by one figure. Each is a link to its tenants.
import { compact, count, millis, rate } from "../core/format.js";
import { html, useState } from "../core/html.js";
import { link } from "../core/route.js";

const STEPS = 6;
export const FIGURES = [
  { key: "tenants", title: "Tenants", show: count },
  { key: "vectors", title: "Vectors", show: compact },
  { key: "queries_per_second", title: "QPS", show: rate },
  { key: "p95_ms", title: "P95", show: millis },
];

// The step of a value on a scale from nothing to the greatest.
export const step = (value, greatest) => (value > 0 && greatest > 0 ? Math.max(1, Math.ceil((value / greatest) * STEPS)) : 0);

export function HeatMap({ index, shards }) {
  const [key, choose] = useState("vectors");
  const figure = FIGURES.find((one) => one.key === key);
  const greatest = Math.max(0, ...shards.map((shard) => shard[key]));
  return html`
    <div class="heading">
      <h2>Shards</h2>
      <fieldset class="choice">
        <legend class="unseen">Colour shards by</legend>
        ${FIGURES.map(
          (one) => html`
            <label key=${one.key}>
              <input type="radio" name="figure" value=${one.key} checked=${one.key === key} onChange=${() => choose(one.key)} />
              <span>${one.title}</span>
            </label>
          `,
        )}
      </fieldset>
    </div>
    <ul class=${shards.length > 30 ? "heat dense" : "heat"}>
      ${shards.map(
        (shard) => html`
          <li key=${shard.name}>
            <a
              href=${link(index, "tenants", null, { shard: shard.name })}
              class=${`heat-${step(shard[key], greatest)}${shard.error ? " lost" : ""}`}
              title=${`${shard.name}: ${count(shard.tenants)} tenants, ${count(shard.vectors)} vectors, ${rate(shard.queries_per_second)} queries/s, P95 ${millis(shard.p95_ms)}`}
            >
              <span>${shard.name}</span>
              <strong>${shard.error ? "no answer" : figure.show(shard[key])}</strong>
              ${shard.state !== "active" && html`<em>${shard.state}</em>`}
            </a>
          </li>
        `,
      )}
    </ul>
    <p class="legend" aria-hidden="true">
      <span>less</span>${[0, 1, 2, 3, 4, 5, 6].map((one) => html`<i key=${one} class=${`heat-${one}`}></i>`)}<span>more</span>
    </p>
  `;
}
