// A question that must be answered first. The browser keeps the focus inside, and Escape is the way out.
import { html, useLayoutEffect, useRef } from "../core/html.js";
import { Problem } from "./states.js";

export function Dialog({ title, close, children }) {
  const box = useRef();
  useLayoutEffect(() => {
    const dialog = box.current;
    const before = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      before?.focus?.();
    };
  }, []);
  const cancelled = (event) => {
    event.preventDefault();
    close();
  };
  return html`
    <dialog ref=${box} onCancel=${cancelled} aria-labelledby="dialog-title">
      <h2 id="dialog-title">${title}</h2>
      ${children}
    </dialog>
  `;
}

// A dialog with fields, which Enter sends.
export function Ask({ title, verb, danger, act, close, send, children }) {
  const submitted = (event) => {
    event.preventDefault();
    if (!act.busy) send(new FormData(event.target));
  };
  return html`
    <${Dialog} title=${title} close=${close}>
      <form onSubmit=${submitted} class="stack">
        ${children}
        <${Problem} error=${act.error} />
        <div class="actions">
          <button type="button" onClick=${close}>Leave it</button>
          <button type="submit" class=${danger ? "danger" : "primary"} disabled=${act.busy}>
            ${act.busy ? "Working…" : verb}
          </button>
        </div>
      </form>
    <//>
  `;
}

export const Field = ({ label, hint, children }) => html`
  <label class="field"><span>${label}</span>${children}${hint && html`<small>${hint}</small>`}</label>
`;
