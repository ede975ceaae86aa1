"use strict";
// The listening report: order and filter of the utterances, loudness, keys.

const report = pageData("report");
const stages = [...document.querySelectorAll(".utterance")].map((article) => new Stage(article));
const setting = (id) => document.getElementById(id);
const list = setting("list");
const files = new Map(report.files.map((file) => [file.anchor, file]));

/** Scores of a file by the chosen metric, of one system or, for "", of all. */
function scoresOf(file, system) {
  const scores = file.scores[setting("metric").value] ?? {};
  const names = system ? [system] : report.systems;
  return names.map((name) => scores[name]).filter((score) => score !== undefined);
}

/** What a file is ordered by, the highest first; null for one without a score. */
function rankOf(file) {
  const order = setting("order").value;
  const scores = scoresOf(file, order === "spread" ? "" : (setting("system")?.value ?? ""));
  if (!scores.length) return null;
  const lower = metricOf(setting("metric").value).better === "lower";
  const badness = scores.map((score) => (lower ? score : -score));
  if (order === "best") return -Math.min(...badness);
  if (order === "spread") return Math.max(...badness) - Math.min(...badness);
  return Math.max(...badness);
}

function metricOf(name) {
  return report.metrics.find((metric) => metric.name === name);
}

function orderStages() {
  const ranked = stages.map((stage) => ({ stage, rank: rankOf(files.get(stage.article.id)) }));
  const byName = setting("order").value === "name";
  ranked.sort((a, b) => {
    if (byName) return a.stage.name.localeCompare(b.stage.name, "en", { numeric: true });
    if (a.rank === null || b.rank === null) return (a.rank === null) - (b.rank === null);
    return b.rank - a.rank;
  });
  list.append(...ranked.map(({ stage }) => stage.article));
  showChosenScores();
}

/** Put the score that orders the utterances beside each version. */
function showChosenScores() {
  const metric = metricOf(setting("metric").value);
  for (const stage of stages) {
    const scores = files.get(stage.article.id).scores[metric.name] ?? {};
    stage.rows.slice(1).forEach((row, i) => {
      const score = scores[report.systems[i]];
      const known = score !== undefined;
      const text = known ? `${score.toFixed(metric.decimals)} ${metric.unit}` : "not scored";
      const place = row.querySelector(".chosen");
      if (place) place.textContent = `${metric.label} ${text}`;
    });
  }
}

function filterStages() {
  const wanted = setting("filter").value.trim().toLowerCase();
  for (const { article, name } of stages) article.hidden = !name.toLowerCase().includes(wanted);
  const shown = shownStages().length;
  setting("count").textContent = `${shown} of ${stages.length} utterances`;
}

/** Show an utterance that a link or a dot names, also one that the filter hides. */
function leadTo(anchor) {
  const stage = stages.find(({ article }) => article.id === anchor);
  if (!stage) return;
  if (stage.article.hidden) {
    setting("filter").value = "";
    filterStages();
  }
  stage.activate();
  stage.article.scrollIntoView();
  stage.article.querySelector("h3").focus({ preventScroll: true });
}

/** The stages that the filter lets through, in the order of the page. */
function shownStages() {
  const shown = [...list.children].filter((article) => !article.hidden);
  return shown.map((article) => stages.find((stage) => stage.article === article));
}

function matchLoudness() {
  const on = setting("loudness").checked;
  for (const stage of stages) stage.matchLoudness(on);
  document.body.classList.toggle("matched", on);
}

/** The stage that keys mean: the one in use, else the first in view. */
function stageOfKeys() {
  if (Stage.active && !Stage.active.article.hidden) return Stage.active;
  const inView = ({ article }) => article.getBoundingClientRect().bottom > 80;
  return shownStages().find(inView);
}

/** Lead to the stage `step` places below the one in use. */
function goOn(step) {
  const shown = shownStages();
  const next = shown[shown.indexOf(Stage.active) + step] ?? (Stage.active ? null : shown[0]);
  if (!next) return;
  const playing = Stage.active?.player.playing;
  const heard = Stage.active?.heard;
  leadTo(next.article.id);
  if (heard !== undefined) next.choose(heard);
  if (playing) next.player.play();
}

function actOf(event) {
  const stage = stageOfKeys();
  if (!stage) return null;
  if (/^[1-9]$/.test(event.key)) return () => stage.choose(Number(event.key) - 1);
  const acts = {
    " ": () => stage.toggle(),
    ArrowLeft: () => stage.move(-STEP),
    ArrowRight: () => stage.move(STEP),
    "[": () => stage.loopFrom(),
    "]": () => stage.loopTo(),
    Escape: () => stage.unloop(),
    n: () => goOn(1),
    p: () => goOn(-1),
  };
  return acts[event.key];
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  // What has a use of its own for the key keeps it.
  const { target } = event;
  if (target.closest("select, textarea, input:not([type=checkbox])")) return;
  if (event.key === " " && target.closest("button, summary, a, input")) return;
  if (event.key.startsWith("Arrow") && target.closest(".scroll")) return;
  const act = actOf(event);
  if (!act) return;
  event.preventDefault();
  act();
});

function start() {
  for (const id of ["order", "metric", "system"]) {
    setting(id)?.addEventListener("change", orderStages);
  }
  setting("filter").addEventListener("input", filterStages);
  setting("loudness").addEventListener("change", matchLoudness);
  const one = () => list.classList.toggle("choosing-one", setting("pictures").value === "one");
  setting("pictures").addEventListener("change", one);
  if (matchMedia("(max-width: 40rem)").matches) setting("pictures").value = "one";
  document.querySelector(".toolbar").addEventListener("submit", (event) => event.preventDefault());
  // A link to an utterance: the table's, or the address that somebody passed on.
  addEventListener("hashchange", () => leadTo(location.hash.slice(1)));
  one();
  orderStages();
  filterStages();
  matchLoudness();
  if (location.hash) leadTo(location.hash.slice(1));
  // Waveforms are drawn as they come into view.
  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      const { wave, scale } = target.dataset;
      drawWaveform(target, wave.split(" ").map(Number), Number(scale));
      observer.unobserve(target);
    }
  }, { rootMargin: "400px" });
  document.querySelectorAll(".waveform").forEach((svg) => observer.observe(svg));
}

start();
