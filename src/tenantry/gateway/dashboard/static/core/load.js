// Loading what a page shows, and acting on it.
import { useCallback, useEffect, useRef, useState } from "./html.js";

// What `load` gives, loaded again when one of `inputs` changes or `again` is called. While that goes on, the old value
// stays: `loading` is for the eye, not for the layout. `refresh` loads again without anybody seeing that it does, unless
// it is being loaded: so one that is called every second never cuts off an answer that takes two.
export function useLoad(load, inputs) {
  const [state, set] = useState({ value: null, error: null, loading: true });
  const [round, next] = useState(0);
  const now = useRef({ unseen: false, loading: false });
  useEffect(() => {
    const leaving = new AbortController();
    if (!now.current.unseen) set((old) => ({ ...old, loading: true }));
    now.current = { unseen: false, loading: true };
    const ended = (how) => {
      if (leaving.signal.aborted) return;
      now.current.loading = false;
      set(how);
    };
    Promise.resolve()
      .then(() => load(leaving.signal))
      .then((value) => ended({ value, error: null, loading: false }))
      .catch((error) => ended((old) => ({ ...old, error, loading: false })));
    return () => leaving.abort();
  }, [...inputs, round]);
  const again = useCallback(() => next((old) => old + 1), []);
  const refresh = useCallback(() => {
    if (now.current.loading) return;
    now.current.unseen = true;
    again();
  }, []);
  return { ...state, again, refresh };
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
