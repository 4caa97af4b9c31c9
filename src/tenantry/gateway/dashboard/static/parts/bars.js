// Before and after, side by side: one pair of bars for each shard.
import { html, useLayoutEffect, useRef } from "../core/html.js";

const MOST = 40;

function Bar({ share, kind }) {
  const box = useRef();
  useLayoutEffect(() => {
    box.current.style.width = `${Math.min(100, share * 100)}%`;
  }, [share]);
  return html`<i ref=${box} class=${kind}></i>`;
}

// `rows`: [{name, before, after}]; `show`: a value as text.
export function BeforeAfter({ rows, show, caption }) {
  const greatest = Math.max(1, ...rows.flatMap((row) => [row.before, row.after]));
  const changed = rows.filter((row) => row.before !== row.after);
  const shown = (rows.length <= MOST ? rows : changed).slice(0, MOST);
  return html`
    <div class="table bars">
      <table>
        <caption class="unseen">${caption}</caption>
        <thead>
          <tr><th scope="col">Shard</th><td class="picture"></td><th scope="col" class="number">Before</th><th scope="col" class="number">After</th></tr>
        </thead>
        <tbody>
          ${shown.map(
            (row) => html`
              <tr key=${row.name}>
                <th scope="row">${row.name}</th>
                <td class="picture"><${Bar} share=${row.before / greatest} kind="before" /><${Bar} share=${row.after / greatest} kind="after" /></td>
                <td class="number">${show(row.before)}</td>
                <td class=${row.before === row.after ? "number" : "number changed"}>${show(row.after)}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
    ${shown.length < rows.length && html`<p class="muted">${rows.length - shown.length} more shards stay as they are, or are not shown.</p>`}
  `;
}
