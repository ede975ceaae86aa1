"use strict";
// Screens: one is shown at a time; its heading gets the focus, so that screen readers begin there.

let current = null; // the trial at hand: Rating or Choice
let volume = null; // the player of the volume screen

const screens = {
  questions: () => {},
  volume: openVolume,
  trial: openTrial,
  ready: () => {},
  end: openEnd,
};

/** Show a screen of the record. */
function go(name) {
  record.screen = name;
  keep();
  showScreen(name);
  screens[name]();
}

function showScreen(name) {
  for (const screen of document.querySelectorAll(".screen")) screen.hidden = screen.id !== name;
  current?.transport.close();
  current = null;
  volume?.release();
  if (volume) volume.onchange = () => {}; // the next player pauses it once more
  volume = null;
  showProgress();
  scrollTo(0, 0);
  byId(name).querySelector("h2").focus({ preventScroll: true });
}

function showProgress() {
  const total = test.trials.length - 1;
  const place = record ? Math.max(0, record.done.length - 1) : 0;
  const testing = record && record.done.length > 0;
  byId("progress").hidden = !testing;
  byId("progress-text").textContent = `${place} of ${total} trials done`;
  byId("progress").querySelector("progress").value = place / total;
}

function openVolume() {
  const { reference, seconds } = test.trials[0];
  volume = new Player([() => pageData(`sound-${reference}`)], { duration: seconds });
  let since = 0;
  record.volumeHeard ??= 0;
  volume.onchange = () => {
    if (since) record.volumeHeard += (performance.now() - since) / 1000;
    since = volume.playing ? performance.now() : 0;
    byId("volume-play").textContent = volume.playing ? "Pause" : "Play";
    byId("volume-play").classList.toggle("playing", volume.playing);
    sayMissing("volume-missing", volume.error);
  };
  volume.loop(0, seconds);
}

function leaveVolume() {
  volume.onchange(); // counts what was heard
  if (record.volumeHeard < HEARD) {
    sayMissing("volume-missing", "Please play the recording first.");
    return;
  }
  go("trial");
}

function openTrial() {
  const order = record.done.length;
  const placed = record.order[order];
  const trial = trialOf.get(placed.trial);
  const Kind = test.kind === "mushra" ? Rating : Choice;
  record.current ??= {
    ...Kind.entry(placed),
    order,
    begun: new Date().toISOString(),
    seconds: 0,
    loops: 0,
  };
  const practice = trial.role === "practice";
  byId("trial-heading").textContent = practice
    ? "Practice"
    : `Trial ${order} of ${test.trials.length - 1}`;
  byId("task").textContent = (practice ? Kind.practice : "") + Kind.task;
  sayMissing("missing", "");
  current = new Kind(trial, record.current, byId("desk"));
}

function leaveTrial() {
  const missing = current.missing();
  sayMissing("missing", missing);
  if (missing) return;
  const practice = !record.done.length;
  record.done.push(record.current);
  const last = record.done.length === record.order.length;
  current.transport.close();
  record.current = null;
  if (last) record.finished = new Date().toISOString();
  if (practice) go("ready");
  else go(last ? "end" : "trial");
}

function sayMissing(id, words) {
  byId(id).hidden = !words;
  byId(id).textContent = words;
}
