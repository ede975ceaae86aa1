"use strict";
// The sounds of runs: versions of a clip that switch at one position, with their pictures.

function startClip(node) {
  const number = Number(node.dataset.clip);
  const clip = pageData("clips")[number];
  const find = (name) => node.querySelector(`.${name}`);
  const versions = [...node.querySelectorAll(".version")];
  const sources = clip.versions.map((_, i) => () => pageData(`sound-${number}-${i}`));
  const player = new Player(sources, { duration: clip.seconds });

  const showPosition = () => {
    const share = player.duration ? player.position / player.duration : 0;
    find("cursor").style.left = `${100 * share}%`;
    if (player.playing) requestAnimationFrame(showPosition);
  };
  player.onchange = () => {
    const version = clip.versions[player.selected];
    find("play").textContent = player.playing ? "Pause" : "Play";
    versions.forEach((button, i) => button.setAttribute("aria-pressed", i === player.selected));
    find("spectrum").src = version.picture;
    find("spectrum").alt = `Spectrogram of ${clip.name}, ${version.label}`;
    find("difference").hidden = !version.difference;
    if (version.difference) find("difference").src = version.difference;
    find("axis").textContent =
      `0 to ${clip.seconds.toFixed(2)} s, 0 to ${version.kilohertz.toFixed(1)} kHz; 80 dB of level` +
      (version.difference ? ", differences of −20 to 20 dB" : "");
    find("error").hidden = !player.error;
    find("error").textContent = player.error;
    showPosition();
  };
  find("play").addEventListener("click", () => player.toggle());
  versions.forEach((button, i) => button.addEventListener("click", () => player.select(i)));
  find("pictures").addEventListener("click", (event) => {
    const box = find("pictures").getBoundingClientRect();
    player.seek(((event.clientX - box.left) / box.width) * player.duration);
  });
  player.select(clip.versions.length - 1);
}

document.querySelectorAll(".clip").forEach(startClip);
