// Lines over time, by uPlot, which is loaded when the first chart is shown.
import { html, useEffect, useRef } from "../core/html.js";

const HEIGHT = 220;
const COLOURS = 8;
let library;

function load() {
  library ??= import("../vendor/uplot.js").then((module) => module.default);
  if (!document.querySelector("link[data-uplot]")) {
    const style = document.createElement("link");
    style.rel = "stylesheet";
    style.href = new URL("../vendor/uplot.css", import.meta.url).href;
    style.dataset.uplot = "";
    document.head.append(style);
  }
  return library;
}

const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const second = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

// Moments on the axis; to the second where ticks are closer than a minute, days where they are a day apart.
function times(_, ticks) {
  const apart = ticks.length > 1 ? ticks[1] - ticks[0] : 60;
  const format = apart < 60 ? second : apart < 86_400 ? minute : date;
  return ticks.map((tick) => format.format(new Date(tick * 1000)));
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(width, series, show) {
  const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "12px system-ui" };
  return {
    width,
    height: HEIGHT,
    cursor: { y: false, points: { size: 6 } },
    legend: { live: false },
    scales: { y: { range: (_, low, high) => [0, high > 0 ? high * 1.1 : 1] } },
    axes: [{ ...axis, space: 80, values: times }, { ...axis, size: 64, values: (_, ticks) => ticks.map((tick) => (tick === 0 ? "0" : show(tick))) }],
    series: [
      {},
      ...series.map((one, number) => ({
        label: one.name,
        stroke: colour(`--series-${number % COLOURS}`),
        width: 1.75,
        points: { show: one.values.filter((value) => value !== null).length < 3, size: 5 },
        spanGaps: false,
      })),
    ],
  };
}

// `at`: moments in Unix seconds; `series`: [{name, values}]; `show`: a value as text; `label`: what it is, in words.
export function Chart({ at, series, show, label }) {
  const box = useRef();
  useEffect(() => {
    const holder = box.current;
    let chart;
    let gone = false;
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const draw = async () => {
      const Plot = await load();
      if (gone) return;
      chart?.destroy();
      chart = new Plot(options(holder.clientWidth, series, show), [at, ...series.map((one) => one.values)], holder);
    };
    const resized = new ResizeObserver(() => chart && chart.width !== holder.clientWidth && chart.setSize({ width: holder.clientWidth, height: HEIGHT }));
    draw();
    resized.observe(holder);
    scheme.addEventListener("change", draw);
    return () => {
      gone = true;
      resized.disconnect();
      scheme.removeEventListener("change", draw);
      chart?.destroy();
    };
  }, [at, series]);
  const last = series.map((one) => `${one.name} ${show(one.values.at(-1) ?? null)}`);
  return html`<div class="chart" ref=${box} role="img" aria-label=${`${label}. Now: ${last.join(", ")}`}></div>`;
}
