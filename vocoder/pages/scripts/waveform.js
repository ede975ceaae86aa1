"use strict";
// Waveforms from `envelope`: one path that takes the colour of the text around it.

/** Draw [low, high, low, high, …] in thousandths of full scale into an `<svg>`, `scale` times. */
function drawWaveform(svg, envelope, scale = 1) {
  const points = envelope.length / 2;
  const y = (value) => 100 - Math.max(-100, Math.min(100, (scale * value) / 10));
  let path = "";
  for (let i = 0; i < points; i += 1) {
    // A part is at least a hairline high, so that silence shows as a line.
    const top = Math.min(y(envelope[2 * i + 1]), 97.5);
    const bottom = Math.max(y(envelope[2 * i]), 102.5);
    path += `M${i} ${top}H${i + 1}V${bottom}H${i}z`;
  }
  svg.setAttribute("viewBox", `0 0 ${points} 200`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.replaceChildren(svgElement("path", { d: path, fill: "currentColor" }));
}
