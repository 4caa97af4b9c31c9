// What the gateway tells while it happens: one stream of server-sent events for the index that is shown. `EventSource`
// cannot send a key, so the stream is read with fetch.
import { at, headers } from "./api.js";
import { useEffect, useState } from "./html.js";

const LONGEST_PAUSE_MS = 15_000;
// The gateway says something at least every 15 seconds.
const SILENT_MS = 40_000;

class Live {
  constructor() {
    this.listeners = new Set();
    this.state = { status: "off", overview: null, moves: new Map(), ended: 0 };
    this.stop = () => {};
    this.index = null;
    document.addEventListener("visibilitychange", () => this.#shown());
  }

  watch(index) {
    if (index === this.index) return;
    this.stop();
    this.index = index;
    this.#set({ status: index ? "connecting" : "off", overview: null, moves: new Map() });
    if (index) this.#begin(index);
  }

  #shown() {
    if (!this.index) return;
    this.stop();
    if (document.visibilityState === "visible") this.#begin(this.index);
    else this.#set({ status: "paused" });
  }

  #begin(index) {
    const leaving = new AbortController();
    this.stop = () => leaving.abort();
    this.#follow(index, leaving.signal);
  }

  async #follow(index, signal) {
    let pause = 500;
    while (!signal.aborted) {
      try {
        await this.#read(index, signal, () => {
          pause = 500;
        });
      } catch {
        // told by the status below; a key that is no longer good is found by the next request
      }
      if (signal.aborted) return;
      this.#set({ status: "connecting" });
      await new Promise((done) => setTimeout(done, pause));
      pause = Math.min(LONGEST_PAUSE_MS, pause * 2);
    }
  }

  async #read(index, signal, alive) {
    const silent = new AbortController();
    const either = AbortSignal.any([signal, silent.signal]);
    const response = await fetch(at("indexes", index, "live"), { headers: headers(), signal: either, cache: "no-store" });
    if (!response.ok) throw new Error(`the stream was refused with ${response.status}`);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    let timer;
    try {
      while (true) {
        clearTimeout(timer);
        timer = setTimeout(() => silent.abort(), SILENT_MS);
        const { value, done } = await reader.read();
        if (done) return;
        alive();
        if (this.state.status !== "live") this.#set({ status: "live" });
        const blocks = (text + value).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) this.#hear(block);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #hear(block) {
    const line = block.split("\n").find((one) => one.startsWith("data: "));
    if (!line) return;
    const { move, overview } = JSON.parse(line.slice(6));
    if (overview) this.#set({ overview });
    if (move) {
      const moves = new Map(this.state.moves).set(move.id, move);
      this.#set({ moves, ended: this.state.ended + (ENDED.has(move.phase) ? 1 : 0) });
    }
  }

  #set(change) {
    this.state = { ...this.state, ...change };
    for (const listener of this.listeners) listener(this.state);
  }
}

export const ENDED = new Set(["done", "cancelled", "rolled-back", "failed"]);
export const live = new Live();

export function useLive() {
  const [state, set] = useState(live.state);
  useEffect(() => {
    live.listeners.add(set);
    set(live.state);
    return () => live.listeners.delete(set);
  }, []);
  return state;
}
