// A table. Columns: {key, title, cell(row), number, sort, minor}; `minor` ones are left out on a phone,
// `tight` ones never broken.
import { html } from "../core/html.js";

const classes = (column) => [column.number && "number", column.minor && "minor", column.tight && "tight"].filter(Boolean).join(" ") || undefined;

function Heading({ column, sort, onSort }) {
  if (!column.sort) return html`<th scope="col" class=${classes(column)}>${column.title}</th>`;
  const active = sort?.by === column.sort;
  const way = active ? (sort.descending ? "descending" : "ascending") : "none";
  return html`
    <th scope="col" class=${classes(column)} aria-sort=${way}>
      <button type="button" class="sort" onClick=${() => onSort(column.sort, active ? !sort.descending : !!column.number)}>
        ${column.title}<span aria-hidden="true">${active ? (sort.descending ? "↓" : "↑") : "↕"}</span>
      </button>
    </th>
  `;
}

export const Table = ({ caption, columns, rows, id, sort, onSort }) => html`
  <div class="table">
    <table>
      <caption class="unseen">${caption}</caption>
      <thead>
        <tr>${columns.map((column) => html`<${Heading} key=${column.key} column=${column} sort=${sort} onSort=${onSort} />`)}</tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) => html`
            <tr key=${id(row)}>
              ${columns.map((column) => html`<td key=${column.key} class=${classes(column)}>${column.cell(row)}</td>`)}
            </tr>
          `,
        )}
      </tbody>
    </table>
  </div>
`;

export const Pager = ({ offset, shown, found, earlier, later }) => html`
  <nav class="pager" aria-label="Pages">
    <span role="status">${shown ? `${offset + 1}–${offset + shown}` : "0"} of ${found}</span>
    <button type="button" disabled=${!earlier} onClick=${earlier}>Previous</button>
    <button type="button" disabled=${!later} onClick=${later}>Next</button>
  </nav>
`;
