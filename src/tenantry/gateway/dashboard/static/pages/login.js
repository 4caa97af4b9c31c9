// Asks for a key.
import { html, useEffect, useRef } from "../core/html.js";
import { Mark } from "../parts/frame.js";

// What may be in a header; anything else cannot be a key.
const SENDABLE = /^[\x21-\x7e]+$/;

export function Login({ told, logIn }) {
  const field = useRef();
  useEffect(() => field.current.focus(), []);
  const submitted = (event) => {
    event.preventDefault();
    const key = field.current.value.trim();
    field.current.setCustomValidity(SENDABLE.test(key) ? "" : "A key has no spaces and no special letters.");
    if (event.target.reportValidity()) logIn(key);
  };
  return html`
    <main class="login">
      <form onSubmit=${submitted} class="card stack">
        <h1><${Mark} />Tenantry</h1>
        ${told && html`<p class="notice critical" role="alert">${told}</p>`}
        <label class="field">
          <span>API key</span>
          <input ref=${field} type="password" name="key" required autocomplete="off" spellcheck=${false} onInput=${() => field.current.setCustomValidity("")} />
          <small>It stays in this tab, and is forgotten when you close it.</small>
        </label>
        <button type="submit" class="primary">Log in</button>
        <p class="muted">What you see depends on the key: an admin sees everything, an operator all but keys and backups, a tenant itself.</p>
      </form>
    </main>
  `;
}
