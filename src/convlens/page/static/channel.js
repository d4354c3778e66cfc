// One channel large: on the photo, alone, and what it looks for.

const panel = one("#channel");
let kindOpen = "activations";

/** Draws one tile of a sheet on a canvas, and says whether there was one. */
async function draw(canvas, part, channel) {
  const ticket = (canvas.ticket = {});
  const place = part?.place(channel);
  canvas.closest("figure").hidden = place === undefined;
  if (place === undefined) return;
  const sheet = await loaded(part.sheet);
  if (canvas.ticket !== ticket || !sheet) return;
  const width = sheet.naturalWidth / part.columns;
  const height = sheet.naturalHeight / Math.ceil(part.count / part.columns);
  Object.assign(canvas, { width, height });
  canvas.classList.toggle("coarse", height < 40);
  canvas.getContext("2d").drawImage(sheet, (place % part.columns) * width,
    Math.floor(place / part.columns) * height, width, height, 0, 0, width, height);
}

/** The layer's grid of the kind that is open, or its other one. */
const gridOf = (layer) => grids.find((known) => known.path === layer && known.kind === kindOpen)
  ?? grids.find((known) => known.path === layer);

function numbers(layer, channel) {
  const made = seen(layer);
  const filter = filterOf(layer, channel);
  const rows = [];
  if (made) {
    const { mean, maximum, active } = made.each;
    const rank = mean.filter((value) => (value ?? -Infinity) > (mean[channel] ?? -Infinity)).length + 1;
    rows.push(["Positions active", percent(active[channel])], ["Mean activation", digits(mean[channel])],
      ["Greatest activation", digits(maximum[channel])], ["Strength", `rank ${rank} of ${made.channels}`]);
  }
  if (filter) {
    rows.push(["Activation before the ascent", digits(filter.start)], ["Activation after it", digits(filter.end)]);
    if (filter.status !== "ok") rows.push(["Pattern", filter.status]);
  }
  return rows;
}

function sentence(layer, channel) {
  const made = seen(layer);
  const filter = filterOf(layer, channel);
  const parts = [];
  if (made) {
    parts.push(made.blank.includes(channel)
      ? "On this image the channel has the same value everywhere, so there is no map to show."
      : `The map is bright where the channel responds on this image${chosen.scale === "layer"
        ? `, on one scale for the layer: ${digits(made.range[0])} to ${digits(made.range[1])}` : ""}.`);
  }
  if (filter) parts.push(filter.status === "ok" ? "The pattern is a picture that it responds to more than to noise."
    : `There is no pattern to show: ${filter.meaning}.`);
  return parts.join(" ");
}

/** Shows a channel, for as long as the pointer is on it or until another one is opened. */
function show(layer, channel, pinned, kind = kindOpen) {
  const photo = data.photos[chosen.photo];
  const made = seen(layer);
  const what = `channel ${channel} of ${layer}`;
  panel.hidden = false;
  panel.classList.toggle("pinned", pinned);
  panel.classList.toggle("filter", kind === "patterns" && layer in data.patterns);
  role("channel-layer", panel).textContent = layer;
  role("channel-name", panel).textContent = `Channel ${channel}`;
  const picture = role("channel-photo", panel);
  if (photo && made) {
    picture.src = address(photo.picture);
    picture.alt = `The photo ${photo.name}`;
    picture.parentElement.style.setProperty("--shape", photo.width / photo.height);
  }
  const map = made && cut({ path: layer, kind: "activations" });
  const pattern = data.patterns[layer] && cut({ path: layer, kind: "patterns" });
  for (const [name, part, words] of [["channel-over", map, `Where on the photo ${what} responds`],
    ["channel-map", map, `The map of ${what}`], ["channel-pattern", pattern, `The pattern that ${what} looks for`]]) {
    const canvas = role(name, panel);
    canvas.setAttribute("aria-label", words);
    draw(canvas, part, channel);
  }
  role("channel-explain", panel).textContent = sentence(layer, channel);
  role("channel-numbers", panel).replaceChildren(...numbers(layer, channel).map(([name, value]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, value))));
  role("pin", panel).textContent = pinned ? "The address of this page leads here." : "Click to keep it open.";
}

/** Opens a channel and keeps it open; the address leads to it. */
function open(layer, channel, { scroll = false, focus = false } = {}) {
  Object.assign(chosen, { layer, channel });
  show(layer, channel, true);
  const grid = gridOf(layer);
  if (grid) {
    if (!grid.channels.includes(channel) && grid.kind === "activations" && chosen.kept !== "all") keepAll();
    if (!grid.whole && grid.channels.indexOf(channel) >= FIRST) expand(grid);
    if (!grid.built) build(grid);
    const tile = tileOf(layer, channel, grid.kind);
    if (focus && tile) tile.focus({ preventScroll: true });
    if (tile && (scroll || focus)) reveal(tile, scroll);
  }
  mark();
  remember();
  say(`${layer}, ${grid && tileOf(layer, channel, grid.kind)?.getAttribute("aria-label") || `channel ${channel}`}`);
}

/** Scrolls a tile to where it can be seen, if it is not seen yet. */
function reveal(tile, always) {
  const box = tile.getBoundingClientRect();
  const low = wide.matches ? innerHeight - 20 : innerHeight * 0.4;
  if (always || box.top < 110 || box.bottom > low) {
    scrollBy({ top: box.top - (wide.matches ? innerHeight / 2.5 : 140), behavior: "instant" });
  }
}

function keepAll() {
  chosen.kept = "all";
  one('input[name="kept"][value="all"]').checked = true;
  refresh("activations");
}

function close() {
  if (chosen.layer === null) return false;
  const tile = tileOf(chosen.layer, chosen.channel, kindOpen);
  Object.assign(chosen, { layer: null, channel: null });
  panel.classList.remove("pinned");
  if (!wide.matches) panel.hidden = true;
  mark();
  remember();
  tile?.focus({ preventScroll: true });
  return true;
}

/** The next channel of the layer, in the order shown. */
function step(by) {
  const grid = gridOf(chosen.layer);
  const place = grid?.channels.indexOf(chosen.channel) ?? -1;
  const next = grid?.channels[place + by];
  if (next !== undefined) open(chosen.layer, next, { focus: grid.holder.contains(document.activeElement), scroll: false });
}

/** The same channel of the layer before or after, or its last one. */
function stepLayer(by) {
  const of = grids.filter((grid) => grid.kind === kindOpen && grid.channels.length);
  const next = of[of.findIndex((grid) => grid.path === chosen.layer) + by];
  if (!next) return;
  const channel = next.channels.includes(chosen.channel) ? chosen.channel : next.channels.at(-1);
  open(next.path, channel, { scroll: true, focus: Boolean(document.activeElement?.closest(".tiles")) });
}

function startPanel() {
  if (!panel) return;
  for (const grid of grids) {
    const channelOf = (event) => event.target.closest?.("button[data-channel]")?.dataset.channel;
    grid.holder.addEventListener("pointerover", (event) => {
      const channel = channelOf(event);
      if (channel !== undefined && event.pointerType === "mouse" && wide.matches) show(grid.path, Number(channel), false, grid.kind);
    });
    grid.holder.addEventListener("pointerleave", () => {
      if (chosen.layer !== null) show(chosen.layer, chosen.channel, true);
    });
    grid.holder.addEventListener("focusin", (event) => {
      const channel = channelOf(event);
      if (channel === undefined) return;
      all('[tabindex="0"]', grid.holder).forEach((tile) => { tile.tabIndex = -1; });
      event.target.tabIndex = 0;
      if (wide.matches && chosen.layer === null) show(grid.path, Number(channel), false, grid.kind);
    });
    grid.holder.addEventListener("click", (event) => {
      const channel = channelOf(event);
      if (channel === undefined) return;
      kindOpen = grid.kind;
      open(grid.path, Number(channel));
    });
  }
  panel.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.step) step(Number(button.dataset.step));
    if (button && "close" in button.dataset) close();
  });
  slider(one("#mix"), (share) => { role("channel-over", panel).style.opacity = share; });
}

/** A slider of percents that calls back with a share of 0 to 1, also once at the start. */
function slider(input, changed) {
  const tell = () => {
    input.nextElementSibling.textContent = `${input.value} %`;
    changed(input.value / 100);
  };
  input.addEventListener("input", tell);
  tell();
}
