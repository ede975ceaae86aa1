"use strict";
// Stage: the block of one utterance, bound to its player; one playhead runs through its pictures.

const STEP = 0.5; // seconds, of the arrow keys
const DRAG = 6; // pixels; less is a click

class Stage {
  /** The stage that keys act on. */
  static active = null;

  #gains; // factors that match the loudness
  #from = null; // where a part to repeat begins, until its end is set

  constructor(article) {
    this.article = article;
    this.name = article.querySelector("h3").textContent;
    this.buttons = [...article.querySelectorAll("[data-choice]")];
    this.rows = [...article.querySelectorAll(".version")];
    this.slider = article.querySelector(".position input");
    // Versions that this utterance has; the player knows no others.
    this.available = this.buttons.map((_, i) => i).filter((i) => !this.buttons[i].disabled);
    this.player = new Player(
      this.available.map((i) => () => pageData(`${article.id}-${i}`)),
      { duration: Number(article.dataset.seconds) },
    );
    this.player.onchange = () => this.show();
    // An empty gain is that of silence, and counts as 0 dB.
    const decibels = (i) => Number(this.rows[i].querySelector("[data-gain]").dataset.gain);
    this.#gains = this.available.map((i) => 10 ** (decibels(i) / 20));
    this.#bind();
    this.show();
  }

  /** Index of the version that is heard. */
  get heard() {
    return this.available[this.player.selected];
  }

  activate() {
    if (Stage.active === this) return;
    Stage.active?.article.classList.remove("active");
    Stage.active?.player.release();
    Stage.active = this;
    this.article.classList.add("active");
  }

  async toggle() {
    this.activate();
    await this.player.toggle();
  }

  choose(index) {
    if (!this.available.includes(index)) return;
    this.activate();
    this.player.select(this.available.indexOf(index));
  }

  move(seconds) {
    this.activate();
    this.player.seek(this.player.position + seconds);
  }

  matchLoudness(on) {
    this.player.setGains(this.#gains.map((gain) => (on ? gain : 1)));
    this.rows.forEach((row, i) => {
      const place = row.querySelector("[data-gain]");
      if (place) place.textContent = gainWords(place.dataset.gain, i > 0, on);
    });
  }

  loopFrom() {
    this.#from = this.player.position;
    announce(`The part begins at ${this.#from.toFixed(2)} seconds`);
    this.show();
  }

  loopTo() {
    const from = this.#from ?? 0;
    const [start, end] = [from, this.player.position].sort((a, b) => a - b);
    this.#from = null;
    if (end - start >= 0.05) this.player.loop(start, end);
    else announce("That part is shorter than 0.05 seconds");
  }

  unloop() {
    this.#from = null;
    this.player.unloop();
  }

  /** Hear a version from a little before `begin`. */
  async jump(index, begin) {
    this.choose(index);
    this.player.unloop();
    this.player.seek(begin - 0.2);
    await this.player.play();
  }

  /** Bring the block up to date with the player. */
  show() {
    const { player, article } = this;
    const play = article.querySelector(".play");
    play.textContent = player.playing ? "Pause" : "Play";
    play.classList.toggle("playing", player.playing);
    play.setAttribute("aria-label", `${play.textContent} ${this.name}`);
    this.buttons.forEach((button, i) => button.setAttribute("aria-pressed", i === this.heard));
    this.rows.forEach((row, i) => row.classList.toggle("heard", i === this.heard));
    article.querySelector(".unloop").disabled = !player.region && this.#from === null;
    const error = article.querySelector(".error");
    error.hidden = !player.error;
    error.textContent = player.error;
    for (const part of article.querySelectorAll(".part")) this.#place(part, player.region);
    this.#showPosition();
    if (player.playing) requestAnimationFrame(() => this.#follow());
  }

  #follow() {
    this.#showPosition();
    if (this.player.playing) requestAnimationFrame(() => this.#follow());
  }

  #showPosition() {
    const { position, duration } = this.player;
    this.article.style.setProperty("--playhead", duration ? position / duration : 0);
    this.slider.value = position;
    const time = `${position.toFixed(2)} / ${duration.toFixed(2)} s`;
    this.slider.setAttribute("aria-valuetext", time.replace("/", "of"));
    this.article.querySelector(".time").textContent = time;
  }

  #place(part, region) {
    part.hidden = !region;
    if (!region) return;
    part.style.left = `${(100 * region[0]) / this.player.duration}%`;
    part.style.width = `${(100 * (region[1] - region[0])) / this.player.duration}%`;
  }

  #bind() {
    const { article } = this;
    const on = (selector, act) => article.querySelector(selector).addEventListener("click", act);
    on(".play", () => this.toggle());
    on(".loop-from", () => this.loopFrom());
    on(".loop-to", () => this.loopTo());
    on(".unloop", () => this.unloop());
    this.buttons.forEach((button, i) => button.addEventListener("click", () => this.choose(i)));
    this.slider.addEventListener("input", () => this.player.seek(Number(this.slider.value)));
    for (const button of article.querySelectorAll("[data-jump]")) {
      const { jump, begin } = button.dataset;
      button.addEventListener("click", () => this.jump(Number(jump), Number(begin)));
    }
    for (const plot of article.querySelectorAll(".plot")) {
      const part = element("div", { class: "part", hidden: "" });
      plot.append(element("div", { class: "overlay" }, part, element("div", { class: "head" })));
      plot.querySelectorAll(".surface").forEach((surface) => this.#bindSurface(surface));
    }
  }

  /** A click moves the playhead, a drag repeats the part between its ends. */
  #bindSurface(surface) {
    const row = surface.closest(".version");
    const seconds = (event) => {
      const box = surface.getBoundingClientRect();
      const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      return share * this.player.duration;
    };
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
      const region = [seconds(start), seconds(event)].sort((a, b) => a - b);
      for (const part of this.article.querySelectorAll(".part")) this.#place(part, region);
    });
    surface.addEventListener("pointerup", (event) => {
      if (!start) return;
      const [from, to] = [seconds(start), seconds(event)].sort((a, b) => a - b);
      const dragged = Math.abs(event.clientX - start.clientX) >= DRAG && to - from >= 0.05;
      start = null;
      this.choose(Number(row.dataset.version));
      if (!dragged) {
        if (this.player.region) this.unloop();
        this.player.seek(from);
        return;
      }
      this.player.loop(from, to);
      this.player.play();
    });
  }
}

/** What is said of the gain of a version; the reference changes only so that nothing clips. */
function gainWords(gain, ofSystem, on) {
  if (gain === "") return ofSystem ? "not matched in loudness: silence" : "";
  const decibels = Number(gain);
  if (!ofSystem && (!on || decibels === 0)) return "";
  if (Math.abs(decibels) < 0.05) return "as loud as the reference";
  const text = `${decibels < 0 ? "−" : "+"}${Math.abs(decibels).toFixed(1)} dB`;
  if (!ofSystem) return `${text}, so that nothing clips`;
  return on ? `${text} to match loudness` : `${text} would match loudness`;
}
