"use strict";
// Random order that a seed determines, so that a listener's order can be made again.

/** 32-bit hash of a text (FNV-1a, by Fowler, Noll and Vo). */
function hashOf(text) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Function that returns numbers in [0, 1): xorshift of 32 bits (Marsaglia 2003). */
function randomFrom(seed) {
  let state = seed || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  for (let i = 0; i < 16; i += 1) next(); // similar seeds begin alike
  return next;
}

/** A copy in random order (Fisher and Yates). */
function shuffled(values, random) {
  const copy = [...values];
  for (let i = copy.length - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [copy[i], copy[j]] = [copy[j], copy[i]];
  }
  return copy;
}

/** `count` of the values in random order, each equally often but for the rest of the division. */
function balanced(values, count, random) {
  const found = [];
  while (found.length < count) found.push(...shuffled(values, random));
  return found.slice(0, count);
}
