// Where in the dashboard one is: #/INDEX/PAGE[/NAME][?QUERY].
import { useEffect, useState } from "./html.js";

export function link(index, page, name, query) {
  const parts = [index, page, ...(name === undefined || name === null ? [] : [name])].map(encodeURIComponent);
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return "#/" + parts.join("/") + (given.length ? "?" + new URLSearchParams(given) : "");
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function current() {
  const [path, search = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [index = "", page = "", name] = path.split("/").map(decoded);
  return { index, page, name, query: Object.fromEntries(new URLSearchParams(search)) };
}

export function go(address, { replace = false } = {}) {
  if (replace) {
    history.replaceState(null, "", address);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = address;
  }
}

export function useRoute() {
  const [route, set] = useState(current);
  useEffect(() => {
    const changed = () => set(current());
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  return route;
}
