// Requests to the gateway that the page came from.
import { session } from "./session.js";

export class ApiError extends Error {
  constructor(status, code, message, field) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
  }
}

// A path of the native API from its segments, which may be any names.
export function at(...segments) {
  if (segments.some((one) => one === "." || one === "..")) {
    throw new ApiError(0, "UNADDRESSABLE", 'a browser cannot ask for something called "." or ".."; use the command line');
  }
  return "/v1/" + segments.map(encodeURIComponent).join("/");
}

export function headers(key = session.key) {
  return key ? { Authorization: `Bearer ${key}` } : {};
}

let ousted = () => {};

// What to do when the gateway does not know the key any more.
export function onOusted(act) {
  ousted = act;
}

async function answerOf(response) {
  const text = await response.text();
  if (response.ok) return text ? JSON.parse(text) : null;
  let told = {};
  try {
    told = JSON.parse(text).error ?? {};
  } catch {
    // whatever stands between here and the gateway has words of its own
  }
  const message = told.message ?? `the gateway answered ${response.status}`;
  throw new ApiError(response.status, told.code ?? "UNKNOWN", message, told.field);
}

export async function ask(method, path, { body, query, key, signal } = {}) {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = given.length ? "?" + new URLSearchParams(given) : "";
  const sent = { method, signal, headers: headers(key), cache: "no-store", credentials: "omit" };
  if (body !== undefined) {
    sent.headers["Content-Type"] = "application/json";
    sent.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path + search, sent);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "UNREACHABLE", "the gateway cannot be reached");
  }
  if (response.status === 401 && key === undefined) ousted();
  return answerOf(response);
}

export const get = (path, query, options) => ask("GET", path, { query, ...options });
export const post = (path, body = {}, options) => ask("POST", path, { body, ...options });
