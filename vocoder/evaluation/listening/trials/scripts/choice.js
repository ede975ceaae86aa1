"use strict";
// Choice: a trial of ABX (which one is X?) or of AB (which one is better?).

const choiceNames = test.kind === "abx" ? ["A", "B", "X"] : ["A", "B"];

class Choice {
  static task =
    test.kind === "abx"
      ? "X is either A or B. Which one? Listen as often as you like; if you cannot tell, guess."
      : "Which one sounds better to you? Listen as often as you like; if you cannot tell, guess.";

  static practice = "This one is for practice, and does not count. ";

  static entry(placed) {
    const zeros = () => choiceNames.map(() => 0);
    return { ...placed, answer: null, at: 0, told: false, plays: zeros(), heard: zeros() };
  }

  constructor(trial, entry, desk) {
    this.trial = trial;
    this.entry = entry;
    const { sounds } = entry;
    const codes = test.kind === "abx" ? [...sounds, sounds[entry.x]] : sounds;
    this.transport = new Transport(trial, codes, entry);
    this.transport.onselect = (index) => this.show(index);
    this.buttons = choiceNames.map((name, i) => this.#listen(name, i));
    this.radios = ["←", "→"].map((key, i) => this.#answer(key, i));
    const words = test.kind === "abx" ? "Your answer" : "Your choice";
    const options = this.radios.map((radio) => radio.parentElement);
    const legend = element("legend", { class: "visually-hidden" }, words);
    desk.replaceChildren(
      element("div", { class: "versions", role: "group", "aria-label": "Listen" }, ...this.buttons),
      element("fieldset", { class: "answers" }, legend, ...options),
    );
    this.transport.show();
  }

  select(index) {
    this.transport.select(index);
    announce(choiceNames[index]);
  }

  act(key) {
    const index = choiceNames.indexOf(key.toUpperCase());
    if (index >= 0) this.select(index);
    else if (key === "ArrowLeft" || key === "ArrowRight") this.answer(Number(key === "ArrowRight"));
    else if (/^[1-3]$/.test(key) && choiceNames[key - 1]) this.select(key - 1);
    else return false;
    return true;
  }

  answer(index) {
    this.entry.answer = index;
    this.transport.settle();
    this.entry.at = this.entry.seconds;
    keep();
    this.show(this.transport.selected);
    announce(this.radios[index].parentElement.textContent.trim());
  }

  /** What is left to do, as a sentence; "" if nothing. In practice, once, whether it was right. */
  missing() {
    this.transport.settle();
    const unheard = choiceNames.filter((_, i) => !this.transport.hasHeard(i));
    if (unheard.length) return `Please listen to ${unheard.join(", ")}.`;
    if (this.entry.answer === null) return "Please answer.";
    if (test.kind !== "abx" || this.trial.role !== "practice" || this.entry.told) return "";
    this.entry.told = true;
    const right = this.entry.answer === this.entry.x;
    const truth = `X was ${choiceNames[this.entry.x]}.`;
    return `${right ? "Right" : "No"}: ${truth} Listen again if you like, and go on.`;
  }

  show(heard) {
    this.buttons.forEach((button, i) => {
      button.setAttribute("aria-pressed", String(i === heard));
      button.classList.toggle("fresh", !this.entry.plays[i]);
    });
    this.radios.forEach((radio, i) => {
      radio.checked = i === this.entry.answer;
    });
  }

  #listen(name, index) {
    const button = element("button", { type: "button", class: "listen" }, element("kbd", {}, name));
    button.setAttribute("aria-label", `Listen to ${name}`);
    button.addEventListener("click", () => this.select(index));
    return button;
  }

  #answer(key, index) {
    const name = choiceNames[index];
    const words = test.kind === "abx" ? `X is ${name}` : `${name} is better`;
    const radio = element("input", { type: "radio", name: "answer", value: name });
    radio.addEventListener("change", () => this.answer(index));
    element("label", { class: "option" }, radio, ` ${words} `, element("kbd", {}, key));
    return radio;
  }
}
