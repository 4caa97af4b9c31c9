// Loading what a page shows, and acting on it.
import { useCallback, useEffect, useRef, useState } from "./html.js";

// What `load` gives, loaded again when one of `inputs` changes or `again` is called. While that goes on, the old value
// stays: `loading` is for the eye, not for the layout.
export function useLoad(load, inputs) {
  const [state, set] = useState({ value: null, error: null, loading: true });
  const [round, next] = useState(0);
  useEffect(() => {
    const leaving = new AbortController();
    set((old) => ({ ...old, loading: true }));
    Promise.resolve()
      .then(() => load(leaving.signal))
      .then((value) => leaving.signal.aborted || set({ value, error: null, loading: false }))
      .catch((error) => leaving.signal.aborted || set((old) => ({ ...old, error, loading: false })));
    return () => leaving.abort();
  }, [...inputs, round]);
  const again = useCallback(() => next((old) => old + 1), []);
  return { ...state, again };
}

// Runs an action once at a time: `busy` while it does, `error` when it failed.
export function useAct() {
  const [state, set] = useState({ busy: false, error: null });
  const there = useRef(true);
  useEffect(() => () => (there.current = false), []);
  const act = useCallback(async (work) => {
    set({ busy: true, error: null });
    try {
      const value = await work();
      if (there.current) set({ busy: false, error: null });
      return value;
    } catch (error) {
      if (there.current) set({ busy: false, error });
      return undefined;
    }
  }, []);
  return { ...state, act };
}

// Calls `work` every so often while `active`.
export function useEvery(milliseconds, active, work) {
  const latest = useRef(work);
  latest.current = work;
  useEffect(() => {
    if (!active) return undefined;
    const timer = setInterval(() => latest.current(), milliseconds);
    return () => clearInterval(timer);
  }, [milliseconds, active]);
}
