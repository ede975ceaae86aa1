"use strict";
// Flow: what buttons and keys do, and where the test goes on after a reload.

function begin() {
  const { listener } = byId("begin").elements;
  record = newRecord(listener.value.trim());
  go("questions");
}

function leaveQuestions() {
  record.answers = Object.fromEntries(new FormData(byId("about")));
  go("volume");
}

/** Forget this listener, whose answers were saved. */
function nextListener() {
  record = null;
  keep();
  for (const form of document.forms) form.reset();
  showScreen("welcome");
}

/** What a key does on the screen at hand, or null. */
function keyAct(key) {
  const screen = record?.screen;
  if (screen === "ready" && key === "Enter") return () => go("trial");
  if (screen === "volume") {
    return { " ": () => volume.toggle(), Enter: leaveVolume }[key] ?? null;
  }
  if (screen !== "trial") return null;
  const { transport } = current;
  const move = (seconds) => transport.seek(transport.player.position + seconds);
  const acts = {
    " ": () => transport.toggle(),
    Enter: leaveTrial,
    "[": () => transport.loopFrom(),
    "]": () => transport.loopTo(),
    Escape: () => transport.unloop(),
    ",": () => move(-STEP),
    ".": () => move(STEP),
  };
  return acts[key] ?? null;
}

/** Whether the focused element itself uses the key. */
function usesKey(target, key) {
  if (target.closest("input:is([type=text]), textarea, select")) return true;
  const operable = target.closest("button, a, summary, label, input[type=checkbox]");
  return Boolean(operable) && (key === " " || key === "Enter");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || usesKey(event.target, event.key)) return;
  const act = keyAct(event.key);
  if (act) {
    event.preventDefault();
    if (!event.repeat || /[,.]/.test(event.key)) act();
  } else if (record?.screen === "trial") {
    const slides = event.target.type === "range" && event.key.startsWith("Arrow");
    if (!slides && current.act(event.key)) event.preventDefault();
  }
});

// After a click with the mouse, the space bar means "play" again and not the button.
document.addEventListener("click", (event) => {
  if (!event.detail || !event.target.closest("#trial button, #trial label.inline, #volume .play")) return;
  if (document.activeElement?.type === "range") return;
  event.target.closest(".screen").querySelector("h2").focus({ preventScroll: true });
});

function bind() {
  const on = (id, kind, act) => byId(id).addEventListener(kind, act);
  const submitted = (act) => (event) => {
    event.preventDefault();
    act();
  };
  on("begin", "submit", submitted(begin));
  on("about", "submit", submitted(leaveQuestions));
  on("finish", "submit", submitted(finish));
  on("volume-play", "click", () => volume.toggle());
  on("volume-next", "click", leaveVolume);
  on("ready-next", "click", () => go("trial"));
  on("play", "click", () => current.transport.toggle());
  on("repeat", "change", () => current.transport.setRepeat());
  on("loop-from", "click", () => current.transport.loopFrom());
  on("loop-to", "click", () => current.transport.loopTo());
  on("loop-off", "click", () => current.transport.unloop());
  on("next", "click", leaveTrial);
  on("copy", "click", copyAnswers);
  on("next-listener", "click", nextListener);
  on("as-text", "toggle", showText);
  byId("download")?.addEventListener("click", download);
  bindTimeline(() => current.transport);
  addEventListener("pagehide", () => {
    current?.transport.settle();
    if (record) keep();
  });
}

bind();
byId("no-storage").hidden = keepsRecords();
record = kept();
if (record) go(record.screen);
else showScreen("welcome");
