// Moves under way and past ones.
import { at, get } from "../core/api.js";
import { html, useState } from "../core/html.js";
import { ENDED, useLive } from "../core/live.js";
import { useLoad } from "../core/load.js";
import { link } from "../core/route.js";
import { Empty, Loaded } from "../parts/states.js";
import { Details, MoveCard, MoveTable } from "./move.js";

const PAGE = 50;

export const Moves = (props) => (props.name === undefined ? html`<${List} ...${props} />` : html`<${One} ...${props} />`);

// A page of moves with what is newer of them put over it.
const fresher = (moves, live) => moves.map((move) => live.moves.get(move.id) ?? move);

function List({ who, index }) {
  const live = useLive();
  const [before, setBefore] = useState([]);
  const found = useLoad((signal) => get(at("indexes", index, "moves"), { limit: PAGE, before: before.at(-1) }, { signal }), [index, before, live.ended]);
  const open = [...live.moves.values()].filter((move) => !ENDED.has(move.phase)).sort((a, b) => b.created_at - a.created_at);
  return html`
    <div class="heading page-heading"><h1 tabindex="-1">Moves</h1></div>
    <section aria-label="Open moves">
      <h2>Under way</h2>
      ${open.length
        ? open.map((move) => html`<${MoveCard} key=${move.id} who=${who} index=${index} move=${move} />`)
        : html`<${Empty} title="No move is under way">Begin one at a tenant's page, or carry out a <a href=${link(index, "plan")}>plan</a>.<//>`}
    </section>
    <section class="card">
      <h2>All moves</h2>
      <${Loaded} from=${found} what="Loading the moves">
        ${(page) => html`
          ${page.moves.length ? html`<${MoveTable} index=${index} moves=${fresher(page.moves, live)} />` : html`<${Empty} title="Nothing was ever moved" />`}
          <nav class="pager" aria-label="Pages of moves">
            <button type="button" disabled=${!before.length} onClick=${() => setBefore(before.slice(0, -1))}>Newer</button>
            <button type="button" disabled=${!page.next} onClick=${() => setBefore([...before, page.next])}>Older</button>
          </nav>
        `}
      <//>
    </section>
  `;
}

function One({ who, index, name }) {
  const live = useLive();
  const found = useLoad((signal) => get(at("indexes", index, "moves", name), {}, { signal }), [index, name]);
  return html`
    <p class="crumb"><a href=${link(index, "moves")}>Moves</a></p>
    <${Loaded} from=${found} what="Loading the move">
      ${(loaded) => {
        const move = live.moves.get(name) ?? loaded;
        return html`
          <div class="heading page-heading"><h1 tabindex="-1">Move of ${move.tenant}</h1></div>
          <${MoveCard} who=${who} index=${index} move=${move} whole />
          <${Details} move=${move} />
        `;
      }}
    <//>
  `;
}
