// What stands where something is loading, missing, or wrong; and small pieces that every page uses.
import { html, useEffect, useRef, useState } from "../core/html.js";

export const Loading = ({ what = "Loading" }) => html`
  <div class="state" role="status"><span class="spinner" aria-hidden="true"></span>${what}…</div>
`;

export const Empty = ({ title, children }) => html`
  <div class="state empty"><strong>${title}</strong>${children && html`<span>${children}</span>`}</div>
`;

export const Problem = ({ error, again }) =>
  error &&
  html`
    <div class="notice critical" role="alert">
      <div><strong>${error.field ? `${error.field}: ` : ""}</strong>${error.message}</div>
      ${again && html`<button type="button" class="quiet" onClick=${again}>Try again</button>`}
    </div>
  `;

export const Good = ({ children }) => html`<div class="notice good" role="status"><div>${children}</div></div>`;
export const Mind = ({ children }) => html`<div class="notice warning" role="status"><div>${children}</div></div>`;

// The value of a `useLoad` in `children`, or why there is none.
export function Loaded({ from, what, children }) {
  if (from.value === null) {
    return from.error ? html`<${Problem} error=${from.error} again=${from.again} />` : html`<${Loading} what=${what} />`;
  }
  return html`
    ${from.error && html`<${Problem} error=${from.error} again=${from.again} />`}
    <div class=${from.loading ? "loaded again" : "loaded"} aria-busy=${from.loading}>${children(from.value)}</div>
  `;
}

const TONES = {
  ok: "good", active: "good", done: "good", running: "busy", copy: "busy", soak: "busy", moving: "busy", moved: "good",
  warning: "warning", draining: "warning", "read-only": "warning", suspended: "warning", near: "warning", mind: "warning",
  critical: "critical", failed: "critical", over: "critical", stop: "critical", expired: "warning", revoked: "warning",
  "rolled-back": "warning", cancelled: "warning", go: "good",
};

export const Badge = ({ children, tone }) => html`
  <span class=${`badge ${tone ?? TONES[children] ?? ""}`}>${children}</span>
`;

export const Tile = ({ name, value, note }) => html`
  <div class="tile">
    <dt>${name}</dt>
    <dd>${value}${note && html`<small>${note}</small>`}</dd>
  </div>
`;

export const Facts = ({ rows }) => html`
  <dl class="facts">
    ${rows.map(([name, value]) => value !== undefined && html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>
`;

export function Copy({ text, label = "Copy" }) {
  const [told, tell] = useState("");
  const box = useRef();
  useEffect(() => {
    if (!told) return undefined;
    const timer = setTimeout(() => tell(""), 2_000);
    return () => clearTimeout(timer);
  }, [told]);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      tell("Copied");
    } catch {
      // not a secure context: select it, so that the keyboard can
      getSelection().selectAllChildren(box.current);
      tell("Selected");
    }
  };
  return html`
    <span class="copy">
      <code ref=${box} tabindex="0" role="textbox" aria-readonly="true" aria-label=${`${label}: text`}>${text}</code>
      <button type="button" class="quiet" onClick=${copy} aria-label=${`${label}: copy`}>
        <span aria-live="polite">${told || "Copy"}</span>
      </button>
    </span>
  `;
}

export const Progress = ({ share, label }) => html`
  <progress max="1" value=${share} aria-label=${label}></progress>
`;
