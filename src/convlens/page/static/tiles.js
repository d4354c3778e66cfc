// The grids: one button a channel, cut by CSS from the layer's sheet; built when they come near the screen.

const GAP = 3;
const FIRST = 256; // channels shown before the reader asks for all
const grids = all("article[data-grid]").map((article) => ({
  article,
  path: article.dataset.layer,
  kind: article.dataset.grid,
  holder: one(".tiles", article),
  built: false,
  whole: false,
}));

/** The channels of a grid in the order chosen. */
function order(grid) {
  if (grid.kind === "patterns") return data.patterns[grid.path].filters.map((filter) => filter.filter);
  const made = seen(grid.path);
  if (!made) return [];
  const blank = new Set(made.blank);
  const kept = [...Array(made.channels).keys()].filter((channel) =>
    chosen.kept === "all" || blank.has(channel) === (chosen.kept === "blank"));
  const by = made.each[chosen.order];
  return by ? kept.sort((a, b) => (by[b] ?? -Infinity) - (by[a] ?? -Infinity) || a - b) : kept;
}

/** Where a grid's tiles lie: the sheet, its columns and rows, and a channel's place on it. */
function cut(grid) {
  if (grid.kind === "patterns") {
    const made = data.patterns[grid.path];
    const places = new Map(made.filters.map((filter, row) => [filter.filter, row]));
    return { sheet: made.sheet, columns: made.columns, count: made.filters.length,
      aspect: made.size[1] / made.size[0], side: made.size[0], place: (channel) => places.get(channel) };
  }
  const made = seen(grid.path);
  const shape = layers.get(grid.path).shape;
  const [height, width] = shape.length === 3 ? shape : [1, shape.slice(0, -1).reduce((a, b) => a * b, 1)];
  return { sheet: made[chosen.scale], columns: made.columns, count: made.channels,
    aspect: Math.min(Math.max(width / height, 0.25), 4), side: height, place: (channel) => channel };
}

/** The least width of a tile: large maps are shown larger. */
function least(side) {
  const sizes = wide.matches ? [[100, 92], [40, 72], [20, 58], [10, 48], [0, 40]] : [[40, 64], [10, 48], [0, 40]];
  return sizes.find(([from]) => side >= from)[1];
}

function label(grid, channel) {
  if (grid.kind === "patterns") {
    const filter = filterOf(grid.path, channel);
    return `filter ${channel}, ${filter.status === "ok" ? `activation ${digits(filter.end)}` : filter.status}`;
  }
  const made = seen(grid.path);
  if (made.blank.includes(channel)) return `channel ${channel}, blank on this image`;
  return `channel ${channel}, ${percent(made.each.active[channel])} active, mean ${digits(made.each.mean[channel])}`;
}

/** The height that a grid will have, so that nothing jumps when it is built. */
function measure(grid) {
  const missing = grid.kind === "activations" && !seen(grid.path);
  const channels = missing ? [] : order(grid);
  const empty = one(".empty", grid.article);
  if (empty) {
    empty.hidden = channels.length > 0;
    empty.textContent = missing ? "Not made for this image: the run ended before."
      : chosen.kept === "blank" ? "No channel of this layer is blank on this image."
        : "Every channel of this layer is blank on this image.";
  }
  grid.channels = channels;
  if (!channels.length) {
    grid.holder.style.minHeight = "0";
    return;
  }
  const { aspect, side } = cut(grid);
  const width = grid.holder.clientWidth;
  const tile = least(side) * Math.max(aspect, 1);
  const columns = Math.max(Math.floor((width + GAP) / (tile + GAP)), 1);
  const shown = grid.whole ? channels.length : Math.min(channels.length, FIRST);
  const tall = (width - (columns - 1) * GAP) / columns / aspect;
  grid.holder.style.setProperty("--tile", `${tile}px`);
  grid.holder.style.minHeight = `${Math.ceil(shown / columns) * (tall + GAP) - GAP}px`;
}

function build(grid) {
  grid.built = true;
  grid.holder.replaceChildren();
  one(".more", grid.article)?.remove();
  if (!grid.channels.length) return;
  const { sheet, columns, count, aspect, side, place } = cut(grid);
  const rows = Math.ceil(count / columns);
  const style = grid.holder.style;
  style.setProperty("--sheet", `url("${address(sheet)}")`);
  style.setProperty("--size", `${columns * 100}% ${rows * 100}%`);
  style.setProperty("--aspect", aspect);
  grid.holder.classList.toggle("coarse", side < 40);
  const shown = grid.whole ? grid.channels : grid.channels.slice(0, FIRST);
  const tiles = shown.map((channel) => {
    const at = place(channel);
    const left = columns > 1 ? (at % columns) / (columns - 1) : 0;
    const top = rows > 1 ? Math.floor(at / columns) / (rows - 1) : 0;
    const tile = make("button", { type: "button", tabIndex: -1 });
    tile.dataset.channel = channel;
    tile.style.backgroundPosition = `${left * 100}% ${top * 100}%`;
    tile.setAttribute("aria-label", label(grid, channel));
    return tile;
  });
  tiles[0].tabIndex = 0;
  grid.holder.append(...tiles);
  if (shown.length < grid.channels.length) {
    const more = make("button", { type: "button", className: "more" }, `Show all ${grid.channels.length} channels`);
    more.addEventListener("click", () => { expand(grid); });
    grid.holder.after(more);
  }
  mark();
}

function expand(grid) {
  grid.whole = true;
  measure(grid);
  build(grid);
}

/** Draws what is built again, after another image, order or brightness was chosen. */
function refresh(kind) {
  for (const grid of grids.filter((grid) => !kind || grid.kind === kind)) {
    measure(grid);
    if (grid.built) build(grid);
  }
}

/** The tile of the channel that is open. */
function tileOf(path, channel, kind) {
  const found = grids.filter((grid) => grid.path === path && grid.built && (!kind || grid.kind === kind));
  for (const grid of found) {
    const tile = one(`[data-channel="${channel}"]`, grid.holder);
    if (tile) return tile;
  }
  return null;
}

function mark() {
  all(".tiles .open").forEach((tile) => tile.classList.remove("open"));
  if (chosen.channel === null) return;
  for (const kind of ["activations", "patterns"]) tileOf(chosen.layer, chosen.channel, kind)?.classList.add("open");
}

const near = new IntersectionObserver((entries) => {
  for (const entry of entries.filter((entry) => entry.isIntersecting)) {
    const grid = grids.find((grid) => grid.article === entry.target);
    if (!grid.built) build(grid);
  }
}, { rootMargin: "600px 0px" });
