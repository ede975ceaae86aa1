"use strict";
// Transport: plays the sounds of the trial at hand, repeats a part, and counts what was heard.

const STEP = 0.5; // seconds, of the keys
const DRAG = 6; // pixels; less is a click
const SHORTEST = 0.1; // seconds of a part to repeat
const HEARD = 0.5; // seconds after which a sound counts as heard

const byId = (id) => document.getElementById(id);

class Transport {
  #from = null; // where a part to repeat begins, until its end is set
  #part = null;
  #playing = null; // [index, time] of what sounds
  #entered = performance.now();
  #closed = false;

  /** `codes` are the sounds by index; what was heard of them is added up in `entry`. */
  constructor(trial, codes, entry) {
    this.trial = trial;
    this.entry = entry;
    const sources = codes.map((code) => () => pageData(`sound-${code}`));
    this.player = new Player(sources, { duration: trial.seconds });
    this.onselect = () => {};
    this.player.onchange = () => this.#changed();
    drawWaveform(document.querySelector("#timeline svg"), trial.waveform, this.#scale());
    this.#repeat();
    this.player.load().then(() => this.#closed || this.#repeat(), () => {}); // play says why not
  }

  get selected() {
    return this.player.selected;
  }

  select(index) {
    this.player.select(index);
    this.onselect(index);
  }

  toggle() {
    return this.player.toggle();
  }

  seek(seconds) {
    this.player.seek(seconds);
  }

  loopFrom() {
    this.#from = this.player.position;
    announce(`The part begins at ${this.#from.toFixed(1)} seconds`);
    this.show();
  }

  loopTo() {
    const { position } = this.player;
    this.setPart(...[this.#from ?? 0, position].sort((a, b) => a - b));
  }

  setPart(from, to) {
    this.#from = null;
    if (to - from < SHORTEST) {
      announce("That part is too short");
      this.show();
      return;
    }
    this.#part = [from, to];
    this.entry.loops += 1;
    this.#repeat();
    announce(`Repeats from ${from.toFixed(1)} to ${to.toFixed(1)} seconds`);
  }

  unloop() {
    this.#from = null;
    this.#part = null;
    this.#repeat();
  }

  /** Repeat the part, or the whole where the listener wants it. */
  #repeat() {
    const { player } = this;
    if (this.#part) player.loop(...this.#part);
    else if (byId("repeat").checked) player.loop(0, player.duration);
    else player.unloop();
  }

  setRepeat() {
    this.#repeat();
  }

  /** Add the time since the last call to the entry. */
  settle() {
    const now = performance.now();
    this.entry.seconds += (now - this.#entered) / 1000;
    this.#entered = now;
    if (this.#playing) {
      const [index, since] = this.#playing;
      this.entry.heard[index] += (now - since) / 1000;
      this.#playing = [index, now];
    }
  }

  /** Whether the sound was heard for at least half a second, or all of a shorter one. */
  hasHeard(index) {
    return this.entry.heard[index] >= Math.min(HEARD, this.trial.seconds);
  }

  close() {
    this.player.release();
    this.settle();
    this.#closed = true;
  }

  #changed() {
    if (this.#closed) return;
    this.settle();
    const { player } = this;
    const index = player.playing ? player.selected : null;
    if (index === null) this.#playing = null;
    else if (this.#playing?.[0] !== index) {
      this.#playing = [index, performance.now()];
      this.entry.plays[index] += 1;
    }
    keep();
    this.show();
  }

  show() {
    const { player } = this;
    const play = byId("play");
    play.textContent = player.playing ? "Pause" : "Play";
    play.classList.toggle("playing", player.playing);
    byId("loop-off").disabled = !this.#part && this.#from === null;
    byId("sound-error").hidden = !player.error;
    byId("sound-error").textContent = player.error;
    const part = document.querySelector("#timeline .part");
    showPart(part, this.#part, player.duration);
    this.onselect(player.selected);
    this.#follow();
  }

  #follow() {
    if (this.#closed) return;
    const { position, duration, playing } = this.player;
    byId("timeline").style.setProperty("--playhead", duration ? position / duration : 0);
    byId("clock").textContent = `${position.toFixed(1)} / ${duration.toFixed(1)} s`;
    if (playing) requestAnimationFrame(() => this.#follow());
  }

  /** Quiet recordings fill the height as well. */
  #scale() {
    const peak = Math.max(...this.trial.waveform.map(Math.abs));
    return peak ? 950 / peak : 1;
  }
}

function showPart(part, region, duration) {
  part.hidden = !region;
  if (!region) return;
  part.style.left = `${(100 * region[0]) / duration}%`;
  part.style.width = `${(100 * (region[1] - region[0])) / duration}%`;
}

/** A click in the waveform goes there, a drag repeats the part between its ends. */
function bindTimeline(current) {
  const surface = byId("timeline");
  const seconds = (event) => {
    const box = surface.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return share * current().player.duration;
  };
  const between = (a, b) => [seconds(a), seconds(b)].sort((x, y) => x - y);
  let start = null;
  surface.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    start = event;
    surface.setPointerCapture(event.pointerId);
  });
  surface.addEventListener("pointercancel", () => {
    start = null; // the finger scrolls the page
  });
  surface.addEventListener("pointermove", (event) => {
    if (!start || Math.abs(event.clientX - start.clientX) < DRAG) return;
    showPart(surface.querySelector(".part"), between(start, event), current().player.duration);
  });
  surface.addEventListener("pointerup", (event) => {
    if (!start) return;
    const [from, to] = between(start, event);
    const dragged = Math.abs(event.clientX - start.clientX) >= DRAG;
    start = null;
    if (dragged) current().setPart(from, to);
    else current().seek(from);
  });
}
