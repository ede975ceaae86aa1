"use strict";
// The record of one listener: what was presented, heard and answered. Kept after every change.

const test = pageData("test");
const trialOf = new Map(test.trials.map((trial) => [trial.code, trial]));
const STORE = `test.${test.id}`; // tests on one browser do not mix

let record = null;

function newRecord(listener) {
  const seed = hashOf(`${test.id}/${listener}`);
  return {
    listener,
    seed,
    answers: {},
    started: new Date().toISOString(),
    finished: "",
    comment: "",
    screen: "questions",
    order: presented(seed),
    done: [], // entries of the trials that were finished
    current: null, // entry of the one at hand
  };
}

/** Trials in a listener's order, the practice first: sounds as placed, and which one X is. */
function presented(seed) {
  const random = randomFrom(seed);
  const [practice, ...others] = test.trials;
  const swaps = balanced([[0, 0], [0, 1], [1, 0], [1, 1]], others.length, random);
  const place = (trial, [swap, x]) => {
    if (test.kind === "mushra") return { trial: trial.code, sounds: shuffled(trial.sounds, random) };
    const sounds = swap ? [trial.sounds[1], trial.sounds[0]] : trial.sounds;
    return { trial: trial.code, sounds, ...(test.kind === "abx" && { x }) };
  };
  const placed = others.map((trial, i) => place(trial, swaps[i]));
  const first = place(practice, [Number(random() < 0.5), Number(random() < 0.5)]);
  return [first, ...shuffled(placed, random)];
}

function keep() {
  remember(STORE, record ? JSON.stringify(record) : "");
}

/** The record of a test that was begun in this browser, or null. */
function kept() {
  try {
    return JSON.parse(recall(STORE) || "null");
  } catch {
    return null;
  }
}

/** Whether the browser keeps what the page asks it to. */
function keepsRecords() {
  remember("probe", test.id);
  return recall("probe") === test.id;
}

/** What `vocoder listen-results` reads. */
function results() {
  return {
    format: "vocoder listening test",
    version: test.format,
    test: {
      id: test.id,
      kind: test.kind,
      title: test.title,
      page: test.page,
      seed: test.seed,
      consent: test.consent,
      key: test.key,
    },
    listener: { id: record.listener, seed: record.seed, ...record.answers },
    started: record.started,
    finished: record.finished,
    comment: record.comment,
    trials: record.done.map(resultOf),
  };
}

/** One trial of the results: sounds by their codes, with what was done. */
function resultOf(entry) {
  const { code, role } = trialOf.get(entry.trial);
  const facts = { trial: code, role, order: entry.order, begun: entry.begun };
  const times = { seconds: rounded(entry.seconds), loops: entry.loops };
  const use = (i) => ({ plays: entry.plays[i], heard: rounded(entry.heard[i]) });
  if (test.kind === "mushra") {
    const ratings = entry.sounds.map((sound, i) => ({
      sound,
      place: i + 1,
      rating: entry.ratings[i],
      at: rounded(entry.at[i]),
      ...use(i + 1),
    }));
    return { ...facts, ...times, reference: use(0), ratings };
  }
  const [a, b] = entry.sounds;
  const heard = Object.fromEntries(choiceNames.map((name, i) => [name.toLowerCase(), use(i)]));
  const x = test.kind === "abx" ? { x: entry.sounds[entry.x] } : {};
  const answer = entry.sounds[entry.answer];
  return { ...facts, ...times, a, b, ...x, answer, at: rounded(entry.at), heard };
}

function rounded(seconds) {
  return Math.round(seconds * 100) / 100;
}
