// What the page knows, where its pictures are, and what the reader has chosen.

const data = JSON.parse(document.getElementById("data").textContent);
const embedded = JSON.parse(document.getElementById("embedded")?.textContent ?? "null");
const layers = new Map(data.layers.map((layer) => [layer.path, layer]));
const paths = [...new Set([...layers.keys(), ...Object.keys(data.patterns)])];
const chosen = { photo: 0, layer: null, channel: null, scale: "channel", order: "number", kept: "all" };
const wide = matchMedia("(min-width: 1000px)");

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const role = (name, within = document) => one(`[data-role="${name}"]`, within);

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const blobs = new Map();

/** The address of a picture: its place in the folder, or the bytes that the page carries. */
function address(place) {
  if (!place || !embedded) return place || "";
  if (!(place in embedded)) return "";
  if (!blobs.has(place)) {
    const bytes = Uint8Array.from(atob(embedded[place]), (letter) => letter.charCodeAt(0));
    blobs.set(place, URL.createObjectURL(new Blob([bytes], { type: "image/webp" })));
  }
  return blobs.get(place);
}

const sheets = new Map();

/** A loaded picture, kept while it is among the last few used. */
function loaded(place) {
  if (sheets.has(place)) {
    const known = sheets.get(place);
    sheets.delete(place);
    sheets.set(place, known);
    return known;
  }
  const image = new Image();
  image.src = address(place);
  const promise = image.decode().then(() => image, () => null);
  sheets.set(place, promise);
  if (sheets.size > 12) sheets.delete(sheets.keys().next().value);
  return promise;
}

/** A number to three digits, as people write it. */
function digits(value) {
  if (value === null || value === undefined) return "not a number";
  if (value === 0) return "0";
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}

function percent(share) {
  if (share === null || share === undefined) return "not a number";
  const value = share * 100;
  return `${value > 0 && value < 1 ? value.toFixed(1) : Math.round(value)} %`;
}

const say = (text) => { one("#said").textContent = text; };

/** What a layer did on the image chosen; undefined where the run did not get there. */
const seen = (path) => layers.get(path)?.images[chosen.photo];

const filterOf = (layer, channel) => data.patterns[layer]?.filters.find((known) => known.filter === channel);

const nameOf = (target) => (target.direction ? `${target.name} ${target.direction}` : target.name);

/** A class's or value's line in a list: its name, its number, and a bar where that is a probability. */
function scored(target) {
  const bar = make("i");
  bar.style.width = `${100 * (target.share ?? 0)}%`;
  return [make("span", { className: "name" }, nameOf(target)),
    make("span", { className: "share", hidden: target.share === null }, bar),
    make("span", { className: "number" }, target.shown)];
}

/** The part of the address after "#" that opens what is open now. */
function link(layer, channel) {
  const parts = [];
  if (layer !== null) parts.push(`layer=${encodeURIComponent(layer)}`);
  if (layer !== null && channel !== null) parts.push(`channel=${channel}`);
  if (chosen.photo) parts.push(`image=${encodeURIComponent(data.photos[chosen.photo].name)}`);
  return `#${parts.join("&")}`;
}

function remember() {
  try {
    history.replaceState(null, "", link(chosen.layer, chosen.channel));
  } catch {
    // a page inside a notebook has no address of its own
  }
}
