"use strict";
// Rating: a MUSHRA trial. All versions of a recording on one screen, a slider for each.

const ZONES = ["Bad", "Poor", "Fair", "Good", "Excellent"];

class Rating {
  static task =
    "How close is each version to the reference? Rate it on the scale; one of them is the " +
    "reference itself and belongs at 100. Listen and compare as often as you like.";

  static practice =
    "This one is for practice, and does not count. Listen to all versions: they show what to " +
    "expect in the test. ";

  static entry(placed) {
    const { length } = placed.sounds;
    const zeros = () => Array(length + 1).fill(0);
    const empty = () => Array(length).fill(null);
    return { ...placed, ratings: empty(), at: empty(), plays: zeros(), heard: zeros() };
  }

  constructor(trial, entry, desk) {
    this.entry = entry;
    this.transport = new Transport(trial, [trial.reference, ...entry.sounds], entry);
    this.transport.onselect = (index) => this.show(index);
    this.buttons = [];
    this.sliders = [];
    this.values = [];
    desk.replaceChildren(this.#head(), ...entry.sounds.map((_, i) => this.#row(i)));
    this.transport.show();
  }

  select(index) {
    if (index >= this.buttons.length) return;
    this.transport.select(index);
    if (index) this.sliders[index - 1].focus({ preventScroll: true });
    else byId("trial-heading").focus({ preventScroll: true });
    this.buttons[index].scrollIntoView({ block: "nearest" });
    announce(index ? `Version ${index}` : "Reference");
  }

  act(key) {
    if (!/^[0-9]$/.test(key)) return false;
    this.select(Number(key));
    return true;
  }

  /** What is left to do, as a sentence; "" if nothing. */
  missing() {
    this.transport.settle();
    const all = this.buttons.map((_, i) => i);
    const unheard = all.filter((i) => !this.transport.hasHeard(i));
    const unrated = all.slice(1).filter((i) => this.entry.ratings[i - 1] === null);
    const names = (list) => list.map((i) => i || "the reference").join(", ");
    const parts = [];
    if (unheard.length) parts.push(`Please listen to ${names(unheard)}.`);
    if (unrated.length) parts.push(`Please rate ${names(unrated)}.`);
    return parts.join(" ");
  }

  show(heard) {
    this.buttons.forEach((button, i) => {
      button.setAttribute("aria-pressed", String(i === heard));
      button.closest(".condition").classList.toggle("active", i === heard);
      button.classList.toggle("fresh", !this.entry.plays[i]);
    });
    this.entry.ratings.forEach((rating, i) => {
      const words = rating === null ? "not rated yet" : `${rating}, ${zoneOf(rating)}`;
      const slider = this.sliders[i];
      slider.classList.toggle("unset", rating === null);
      slider.setAttribute("aria-valuetext", words);
      const zone = element("span", { class: "zone" }, rating === null ? "" : zoneOf(rating));
      this.values[i].replaceChildren(rating === null ? "–" : String(rating), zone);
    });
  }

  #head() {
    const names = ZONES.map((zone) => element("span", {}, zone));
    const scale = element("div", { class: "zones", "aria-hidden": "true" }, ...names);
    const reference = this.#button(0, "Reference");
    return element("div", { class: "condition reference" }, reference, scale);
  }

  #row(i) {
    const button = this.#button(i + 1, `Version ${i + 1}`);
    const label = `Rating of version ${i + 1}`;
    const range = { type: "range", min: "0", max: "100", step: "1", "aria-label": label };
    const slider = element("input", range);
    slider.value = this.entry.ratings[i] ?? 50;
    const set = () => {
      this.entry.ratings[i] = Number(slider.value);
      this.transport.settle();
      this.entry.at[i] = this.entry.seconds;
      keep();
      this.show(this.transport.selected);
    };
    slider.addEventListener("input", set);
    slider.addEventListener("click", set); // where it stood already
    const value = element("span", { class: "value", "aria-hidden": "true" });
    this.sliders.push(slider);
    this.values.push(value);
    return element("div", { class: "condition" }, button, slider, value);
  }

  #button(index, words) {
    const key = element("kbd", {}, String(index));
    const button = element("button", { type: "button", class: "listen" }, key, words);
    button.addEventListener("click", () => this.select(index));
    this.buttons[index] = button;
    return button;
  }
}

function zoneOf(rating) {
  return ZONES[Math.min(4, Math.floor(rating / 20))];
}
