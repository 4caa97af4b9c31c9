// The dashboard: who is it, which page, and the frame around it.
import { get, onOusted } from "./core/api.js";
import { html, render, useEffect, useLayoutEffect, useRef, useState } from "./core/html.js";
import { live } from "./core/live.js";
import { go, link, useRoute } from "./core/route.js";
import { may, session } from "./core/session.js";
import { PAGES } from "./pages/all.js";
import { Login } from "./pages/login.js";
import { Own } from "./pages/own.js";
import { Frame } from "./parts/frame.js";
import { Empty, Loading, Problem } from "./parts/states.js";

// Which indexes there are for this key; those bound to one have that.
async function indexesOf(who) {
  if (may(who, "see")) return (await get("/v1/indexes")).indexes.map((one) => one.name);
  return [who.index ?? "default"];
}

function Page({ who, indexes, logOut }) {
  const route = useRoute();
  const index = indexes.includes(route.index) ? route.index : (indexes.find((one) => one === "default") ?? indexes[0]);
  const pages = PAGES.filter((page) => may(who, page.right));
  const page = pages.find((one) => one.key === route.page) ?? pages[0];
  const main = useRef();
  const first = useRef(true);

  useEffect(() => {
    live.watch(may(who, "see") ? index : null);
    return undefined;
  }, [index]);
  useEffect(() => () => live.watch(null), []);
  useEffect(() => {
    if (page && (route.page !== page.key || route.index !== index)) go(link(index, page.key), { replace: true });
    document.title = page ? `${route.name ? `${route.name} · ` : ""}${page.title} · Tenantry` : "Tenantry";
  }, [route.page, route.index, route.name, page, index]);
  useLayoutEffect(() => {
    if (!first.current) main.current.querySelector("h1")?.focus();
    first.current = false;
  }, [page?.key, route.name, index]);

  const content = page
    ? html`<${page.view} key=${`${index}/${page.key}/${route.name ?? ""}`} who=${who} index=${index} name=${route.name} query=${route.query} />`
    : html`<${Own} who=${who} index=${index} />`;
  return html`
    <${Frame} who=${who} index=${index} indexes=${indexes} pages=${pages} page=${page} logOut=${logOut}>
      <main id="main" tabindex="-1" ref=${main}>
        ${index ? content : html`<${Empty} title="No index yet">Make one with <code>tenantry init</code>.<//>`}
      </main>
    <//>
  `;
}

function App() {
  const [state, set] = useState({ step: "asking" });

  const enter = async () => {
    try {
      const who = await get("/v1/whoami", undefined, { key: session.key });
      set({ step: "in", who, indexes: await indexesOf(who) });
    } catch (error) {
      if (error.status === 401) {
        const told = session.key ? "This key is not good (any more)." : "";
        session.end();
        set({ step: "out", told });
      } else {
        set({ step: "broken", error });
      }
    }
  };
  useEffect(() => {
    onOusted(() => {
      session.end();
      set({ step: "out", told: "This key is not good (any more)." });
    });
    enter();
  }, []);

  const logIn = (key) => {
    session.begin(key);
    set({ step: "asking" });
    enter();
  };
  const logOut = () => {
    session.end();
    live.watch(null);
    set({ step: "out", told: "" });
  };

  if (state.step === "asking") return html`<div class="alone"><${Loading} /></div>`;
  if (state.step === "broken") return html`<div class="alone"><${Problem} error=${state.error} again=${enter} /></div>`;
  if (state.step === "out") return html`<${Login} told=${state.told} logIn=${logIn} />`;
  return html`<${Page} who=${state.who} indexes=${state.indexes} logOut=${logOut} />`;
}

render(html`<${App} />`, document.getElementById("app"));
