"use strict";
// Distributions: for each metric a small plot, with a row of dots and a box for each system.

const ROW = 38;
const WIDTH = 360; // in units of the drawing, which scales to its column
const LEFT = 4;

function quantile(sorted, share) {
  const at = share * (sorted.length - 1);
  const low = Math.floor(at);
  const next = sorted[Math.min(low + 1, sorted.length - 1)];
  return sorted[low] + (at - low) * (next - sorted[low]);
}

/** Two to five round numbers between two values. */
function roundTicks(low, high) {
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const decimals = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high + 1e-9 * step; i += 1) {
    ticks.push({ value: i * step, text: (i * step).toFixed(decimals) });
  }
  return ticks;
}

function spokenSummary(metric, name, sorted) {
  const [lower, median, upper] = [0.25, 0.5, 0.75]
    .map((share) => quantile(sorted, share).toFixed(metric.decimals));
  return `${name}: median ${median}, half of the files from ${lower} to ${upper}`;
}

/** The dots, the box and the name of one system. */
function stripRow(metric, name, index, scores, x) {
  const sorted = scores.map(({ value }) => value).sort((a, b) => a - b);
  const middle = index * ROW + 26;
  const group = svgElement("g", { style: `color: var(--series-${(index % 6) + 1})` });
  const [lower, median, upper] = [0.25, 0.5, 0.75].map((q) => x(quantile(sorted, q)));
  const box = { x: lower, y: middle - 7, width: Math.max(1, upper - lower), height: 14, rx: 2 };
  group.append(
    svgElement("text", { class: "system", x: LEFT, y: middle - 13 }, name),
    svgElement("rect", { class: "box", ...box }),
    svgElement("line", { class: "median", x1: median, x2: median, y1: middle - 7, y2: middle + 7 }),
  );
  scores.forEach(({ file, value }, i) => {
    // Equal scores lie beside each other, in a fixed pattern: a page always looks alike.
    const cy = middle + ((i * 7) % 11) - 5;
    const dot = svgElement("circle", { cx: x(value), cy, r: 3 });
    const words = `${file.name}: ${value.toFixed(metric.decimals)} ${metric.unit}`;
    dot.append(svgElement("title", {}, words));
    if (file.anchor) dot.addEventListener("click", () => leadTo(file.anchor));
    group.append(dot);
  });
  return { group, words: spokenSummary(metric, name, sorted) };
}

function stripPlot(metric) {
  const systems = report.systems
    .map((name) => ({ name, scores: report.files.flatMap((file) => scoreOf(file, metric, name)) }))
    .filter(({ scores }) => scores.length);
  const values = systems.flatMap(({ scores }) => scores.map(({ value }) => value));
  if (!values.length) return null;
  let [low, high] = [Math.min(...values), Math.max(...values)];
  if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
  const x = (value) => LEFT + 4 + ((value - low) / (high - low)) * (WIDTH - 2 * LEFT - 8);
  const bottom = systems.length * ROW + 8;
  const rows = systems.map(({ name, scores }) => {
    return stripRow(metric, name, report.systems.indexOf(name), scores, x);
  });
  const svg = svgElement("svg", { viewBox: `0 0 ${WIDTH} ${bottom + 18}`, role: "img" });
  svg.setAttribute("aria-label", `${metric.label}. ${rows.map(({ words }) => words).join(". ")}.`);
  for (const { value, text } of roundTicks(low, high)) {
    const line = { class: "rule", x1: x(value), x2: x(value), y1: 0, y2: bottom };
    const label = { x: x(value), y: bottom + 14, "text-anchor": "middle" };
    svg.append(svgElement("line", line), svgElement("text", label, text));
  }
  svg.append(...rows.map(({ group }) => group));
  const unit = [metric.unit, `${metric.better} is better`].filter(Boolean).join(", ");
  const quiet = element("span", { class: "quiet" }, `(${unit})`);
  const title = element("figcaption", {}, `${metric.label} `, quiet);
  return element("figure", { class: "strip" }, title, svg);
}

function scoreOf(file, metric, system) {
  const value = file.scores[metric.name]?.[system];
  return value === undefined ? [] : [{ file, value }];
}

const plots = report.metrics.map(stripPlot).filter(Boolean);
document.querySelector(".strips").append(...plots);
