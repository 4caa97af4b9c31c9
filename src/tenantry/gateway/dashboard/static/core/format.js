// Numbers, sizes and times as people read them.
const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
export const NOTHING = "–";

const known = (value) => value !== null && value !== undefined && Number.isFinite(value);

export const count = (value) => (known(value) ? whole.format(value) : NOTHING);
export const compact = (value) => (known(value) ? (Math.abs(value) < 10_000 ? whole : short).format(value) : NOTHING);

export function bytes(value) {
  if (!known(value)) return NOTHING;
  const power = value < 1 ? 0 : Math.min(UNITS.length - 1, Math.floor(Math.log2(value) / 10));
  const size = value / 1024 ** power;
  return `${power === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${UNITS[power]}`;
}

export function rate(value) {
  if (!known(value)) return NOTHING;
  return value >= 100 ? whole.format(Math.round(value)) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function millis(value) {
  if (!known(value) || value === 0) return NOTHING;
  return `${value >= 100 ? whole.format(Math.round(value)) : value >= 10 ? value.toFixed(1) : value.toFixed(2)} ms`;
}

export const percent = (value) => (known(value) ? `${(value * 100).toFixed(value > 0 && value < 0.1 ? 1 : 0)}%` : NOTHING);

export function money(value, currency = "USD") {
  if (!known(value)) return NOTHING;
  return new Intl.NumberFormat("en", { style: "currency", currency, maximumFractionDigits: 2 }).format(value);
}

export function duration(seconds) {
  if (!known(seconds)) return NOTHING;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  const units = [["d", 86_400], ["h", 3_600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  const [[unit, size], next] = [units[first], units[first + 1]];
  const amount = Math.floor(seconds / size);
  const rest = next ? Math.floor((seconds - amount * size) / next[1]) : 0;
  return rest ? `${amount} ${unit} ${rest} ${next[0]}` : `${amount} ${unit}`;
}

export const moment = (seconds) => (known(seconds) ? clock.format(new Date(seconds * 1000)) : NOTHING);

export function ago(seconds, now = Date.now() / 1000) {
  if (!known(seconds)) return "never";
  const passed = now - seconds;
  return passed < 2 ? "just now" : `${duration(Math.floor(passed)).split(" ").slice(0, 2).join(" ")} ago`;
}

// Words of a command line that was quoted for a shell by Python's shlex.join.
export function words(command) {
  const found = [];
  for (const [, text] of command.matchAll(/((?:'[^']*'|"[^"]*"|[^\s'"])+)/g)) {
    found.push(text.replace(/'([^']*)'|"([^"]*)"/g, (_, single, double) => single ?? double));
  }
  return found;
}
