"use strict";
// What every page needs: its data, its colours, and words for screen readers.

/** Value that the template put into the page by `data(id, value)`. */
function pageData(id) {
  return JSON.parse(document.getElementById(id).textContent);
}

/** New element with attributes and children (text or elements): `element("p", { id: "a" }, "b")`. */
function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** New element of SVG, as `element`. */
function svgElement(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

/** Have screen readers say `text`. */
function announce(text) {
  document.getElementById("announcer").textContent = text;
}

/** Keep `value` for the next visit, where the browser allows it; `recall` returns it or "". */
function remember(name, value) {
  try {
    localStorage.setItem(`vocoder.${name}`, value);
  } catch {
    // Some browsers refuse storage to files: the setting then lasts as long as the page.
  }
}

function recall(name) {
  try {
    return localStorage.getItem(`vocoder.${name}`) ?? "";
  } catch {
    return "";
  }
}

/** Light or dark: as the system says, unless the reader chose. */
function startTheme() {
  const choice = document.getElementById("theme");
  const apply = () => {
    if (choice.value) document.documentElement.dataset.theme = choice.value;
    else delete document.documentElement.dataset.theme;
  };
  choice.value = recall("theme");
  if (choice.selectedIndex < 0) choice.value = "";
  choice.addEventListener("change", () => {
    apply();
    remember("theme", choice.value);
  });
  apply();
}

startTheme();
