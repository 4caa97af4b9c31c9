// What is around every page: the way to the others, the index, who it is.
import { html, useEffect, useState } from "../core/html.js";
import { useLive } from "../core/live.js";
import { go, link } from "../core/route.js";

const STATUS = { live: "Live", connecting: "Connecting", paused: "Paused", off: "" };

function Status() {
  const { status } = useLive();
  return STATUS[status] && html`<span class=${`live ${status}`} role="status"><i aria-hidden="true"></i>${STATUS[status]}</span>`;
}

const nameOf = (who) => (who.tenant ? `${who.scope} of ${who.tenant}` : who.scope);

export function Frame({ who, index, indexes, pages, page, logOut, children }) {
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [page?.key]);
  useEffect(() => {
    const pressed = (event) => event.key === "Escape" && setOpen(false);
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  const skip = (event) => {
    event.preventDefault();
    document.getElementById("main").focus();
  };
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <header class="top">
      <a class="brand" href=${link(index ?? "", pages[0]?.key ?? "")}><${Mark} />Tenantry</a>
      ${indexes.length > 1 &&
      html`
        <label class="index"><span class="unseen">Index</span>
          <select value=${index} onChange=${(event) => go(link(event.target.value, page?.key ?? ""))}>
            ${indexes.map((one) => html`<option key=${one} value=${one}>${one}</option>`)}
          </select>
        </label>
      `}
      <span class="grow"></span>
      <${Status} />
      <span class="who" title=${who.actor}>${nameOf(who)}</span>
      ${who.actor !== "open" && html`<button type="button" class="quiet" onClick=${logOut}>Log out</button>`}
      ${pages.length > 0 &&
      html`<button type="button" class="menu" aria-expanded=${open} aria-controls="pages" onClick=${() => setOpen(!open)}>Menu</button>`}
    </header>
    <div class="body">
      ${pages.length > 0 &&
      html`
        <nav id="pages" class=${open ? "pages open" : "pages"} aria-label="Dashboard">
          ${pages.map(
            (one) => html`
              <a key=${one.key} href=${link(index, one.key)} aria-current=${one === page ? "page" : undefined} onClick=${() => setOpen(false)}>${one.title}</a>
            `,
          )}
          <small>Tenantry ${who.version}</small>
        </nav>
      `}
      ${children}
    </div>
  `;
}

export const Mark = () => html`
  <svg class="mark" viewBox="0 0 16 16" aria-hidden="true">
    <rect x="1" y="1" width="6" height="6" rx="1.5" /><rect x="9" y="1" width="6" height="6" rx="1.5" opacity=".55" />
    <rect x="1" y="9" width="6" height="6" rx="1.5" opacity=".55" /><rect x="9" y="9" width="6" height="6" rx="1.5" />
  </svg>
`;
