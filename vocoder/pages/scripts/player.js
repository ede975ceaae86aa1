"use strict";
// Player: several versions of one sound, of which one is heard; a switch keeps the position.

const FADE = 0.008; // seconds: no click, and too short to be heard as a fade

/**
 * All versions run at once and only one is not silent, so that a switch is exact to the sample.
 *
 *   const player = new Player([() => pageData("sound-0"), () => pageData("sound-1")]);
 *   player.onchange = () => show(player.playing, player.selected, player.region, player.error);
 *   await player.play(); player.select(1); player.loop(0.5, 1.2); player.seek(0.3); player.pause();
 *
 * `sources` are functions that return a file in base64, called when it is played first.
 * One player is heard at a time: `play` pauses the one before.
 */
class Player {
  static #context = null;
  static #output = null;
  static current = null;

  #sources;
  #buffers = null; // promise of AudioBuffers, all of one length
  #voice = null; // the nodes that sound
  #offset = 0; // where the voice began, or the position while paused
  #wanted = false; // between play() and pause(), also while sounds are being decoded
  #gains;

  constructor(sources, { duration = 0 } = {}) {
    this.#sources = sources;
    this.#gains = sources.map(() => 1);
    this.duration = duration;
    this.selected = 0;
    this.region = null; // [start, end] in seconds
    this.error = "";
    this.onchange = () => {};
  }

  /** The page's one AudioContext, made at the first call: browsers want a gesture before it. */
  static get context() {
    Player.#context ??= new AudioContext();
    return Player.#context;
  }

  /** The node that all players of the page end in. */
  static get output() {
    if (!Player.#output) {
      Player.#output = Player.context.createGain();
      Player.#output.connect(Player.context.destination);
    }
    return Player.#output;
  }

  get playing() {
    return this.#wanted;
  }

  get position() {
    if (!this.#voice) return this.#offset;
    const since = Math.max(0, Player.context.currentTime - this.#voice.start);
    const position = this.#offset + since;
    if (!this.region) return Math.min(position, this.duration);
    const [start, end] = this.region;
    return position < end ? position : start + ((position - start) % (end - start));
  }

  /** Decode the sounds; `play` does it by itself. Shorter ones get silence at the end. */
  async load() {
    this.#buffers ??= Promise.all(this.#sources.map(decoded)).then((sounds) => {
      const length = Math.max(...sounds.map((sound) => sound.length));
      this.duration = length / Player.context.sampleRate;
      return sounds.map((sound) => padded(sound, length));
    });
    return this.#buffers;
  }

  /** Forget the decoded sounds; the next `play` decodes them again. */
  release() {
    this.pause();
    this.#buffers = null;
  }

  async play() {
    if (this.#wanted) return;
    if (Player.current && Player.current !== this) Player.current.pause();
    Player.current = this;
    this.#wanted = true;
    this.error = "";
    this.onchange();
    try {
      await Player.context.resume();
      const buffers = await this.load();
      if (this.#wanted && !this.#voice) this.#begin(buffers);
    } catch (error) {
      this.#wanted = false;
      this.#buffers = null;
      this.error = `This browser cannot play the sound (${error.message || error.name}).`;
    }
    this.onchange();
  }

  pause() {
    this.#offset = this.position;
    this.#wanted = false;
    this.#end();
    this.onchange();
  }

  async toggle() {
    return this.playing ? this.pause() : this.play();
  }

  select(index) {
    this.selected = index;
    this.#applyGains();
    this.onchange();
  }

  /** Factors, one for each version, that are applied while it is heard. */
  setGains(gains) {
    this.#gains = [...gains];
    this.#applyGains();
  }

  seek(seconds) {
    this.#offset = Math.min(Math.max(0, seconds), this.duration);
    this.#restart();
  }

  /** Repeat [start, end], in seconds; `unloop` ends that. */
  loop(start, end) {
    this.#offset = this.position;
    this.region = [Math.max(0, start), Math.min(end, this.duration)];
    this.#restart();
  }

  unloop() {
    this.#offset = this.position;
    this.region = null;
    this.#restart();
  }

  #restart() {
    if (this.#voice) {
      this.#end();
      this.#buffers.then((buffers) => {
        if (this.#wanted && !this.#voice) this.#begin(buffers);
      });
    }
    this.onchange();
  }

  #begin(buffers) {
    const { context, output } = Player;
    const [from, to] = this.region ?? [0, this.duration];
    if (this.#offset < from || this.#offset >= to) this.#offset = from;
    const start = context.currentTime + 0.01;
    const master = ramped(context, 0);
    master.connect(output);
    const gains = buffers.map((_, i) => ramped(context, i === this.selected ? this.#gains[i] : 0));
    const nodes = buffers.map((buffer, i) => {
      const node = new AudioBufferSourceNode(context, { buffer });
      if (this.region) Object.assign(node, { loop: true, loopStart: from, loopEnd: to });
      node.connect(gains[i]).connect(master);
      node.start(start, this.#offset);
      return node;
    });
    const voice = { start, master, gains, nodes };
    nodes[0].onended = () => this.#voice === voice && this.#finish();
    this.#voice = voice;
    fade(master, 1, start);
  }

  #finish() {
    this.#end();
    this.#wanted = false;
    this.#offset = 0;
    this.onchange();
  }

  #end() {
    const voice = this.#voice;
    this.#voice = null;
    if (!voice) return;
    const { currentTime } = Player.context;
    fade(voice.master, 0, currentTime);
    for (const node of voice.nodes) node.stop(Math.max(voice.start, currentTime) + 2 * FADE);
    voice.nodes[0].onended = () => voice.master.disconnect();
  }

  #applyGains() {
    this.#voice?.gains.forEach((node, i) => {
      fade(node, i === this.selected ? this.#gains[i] : 0, Player.context.currentTime);
    });
  }
}

async function decoded(source) {
  const bytes = Uint8Array.from(atob(source()), (character) => character.charCodeAt(0));
  return Player.context.decodeAudioData(bytes.buffer);
}

/** The same sound, with silence at the end up to `length`. */
function padded(sound, length) {
  if (sound.length === length) return sound;
  const { numberOfChannels, sampleRate } = sound;
  const longer = new AudioBuffer({ numberOfChannels, sampleRate, length });
  for (let c = 0; c < numberOfChannels; c += 1) longer.copyToChannel(sound.getChannelData(c), c);
  return longer;
}

function ramped(context, gain) {
  return new GainNode(context, { gain });
}

function fade(node, gain, when) {
  node.gain.cancelScheduledValues(when);
  node.gain.setValueAtTime(node.gain.value, when);
  node.gain.linearRampToValueAtTime(gain, when + FADE);
}
