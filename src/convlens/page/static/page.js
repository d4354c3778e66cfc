// Starts the page: images, keys, links, light and dark.

/** The one sentence under a layer's grid. */
function explainLayer(path) {
  const made = seen(path);
  if (!made) return "";
  const share = made.active > 0.6 ? "Most positions respond."
    : made.active > 0.25 ? "Each channel keeps what it looks for and drops the rest."
      : "Few positions respond: the maps say what is there, and hardly how it looks.";
  return `The maps of ${made.blank.length ? "" : "all "}${made.channels} channels of ${path}, ${
    chosen.scale === "channel" ? "each on its own brightness" : `all on one scale from ${digits(made.range[0])} to ${digits(made.range[1])}`}. ${share}`;
}

function drawPhoto() {
  const photo = data.photos[chosen.photo];
  if (!photo) return;
  const picture = role("photo");
  picture.src = address(photo.picture);
  picture.alt = `The photo ${photo.name}`;
  Object.assign(picture, { width: photo.width, height: photo.height });
  role("photo-name").textContent = photo.name;
  role("photo-size").textContent = `${photo.width} × ${photo.height} px${photo.note ? `; ${photo.note}` : ""}`;
  role("bars")?.replaceChildren(...photo.predictions.map((guess) => make("li", {}, ...scored(guess))));
  all("button[data-photo]").forEach((button) =>
    button.setAttribute("aria-pressed", String(Number(button.dataset.photo) === chosen.photo)));
}

function drawStrip() {
  const tight = all("[data-block]").some((block) => block.offsetWidth < 13); // numbers would lie over each other
  for (const block of all("[data-block]")) {
    const made = seen(block.dataset.block);
    const share = made ? made.active : null;
    block.parentElement.style.setProperty("--a", share ?? 0);
    block.classList.toggle("unknown", share === null);
    one("small", block.parentElement).hidden = tight;
    one("small", block.parentElement).textContent = share === null ? "" : Math.round(share * 100);
    one(".hidden", block).textContent = `${block.title.replaceAll(" · ", ", ")}${share === null ? "" : `, ${percent(share)} active`}`;
  }
  const story = role("story");
  if (!story) return;
  const ends = [story.dataset.first, story.dataset.last].map((path) => [path, seen(path)?.active]);
  if (ends.some(([, share]) => share === undefined || share === null)) return story.replaceChildren();
  const words = ends[1][1] < ends[0][1] ? "Fewer positions respond the deeper it gets: " : "Of all positions, as many respond: ";
  story.replaceChildren(words, ...ends.flatMap(([path, share], place) => [
    make("b", {}, percent(share)), " in ", make("span", { className: "code" }, path), place ? "." : ", "]));
}

function drawLayers() {
  for (const grid of grids.filter((grid) => grid.kind === "activations")) {
    const made = seen(grid.path);
    role("measured", grid.article).textContent = made
      ? `${percent(made.active)} of positions active · ${made.blank.length} of ${made.channels} channels blank` : "";
    role("explain", grid.article).textContent = explainLayer(grid.path);
    const sheet = one(".sheet", grid.article);
    if (sheet && made) {
      if (embedded) sheet.dataset.src = made[chosen.scale];
      else sheet.src = made[chosen.scale];
    }
  }
}

/** Shows everything of one image. */
function choosePhoto(photo) {
  chosen.photo = photo;
  drawPhoto();
  drawStrip();
  drawLayers();
  refresh("activations");
  if (data.heat.length) {
    drawTargets();
    drawHeat();
  }
  if (chosen.layer !== null) show(chosen.layer, chosen.channel, true);
}

/** Opens what the address names. */
function follow() {
  const wanted = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
  const photo = data.photos.findIndex((known) => known.name === wanted.get("image"));
  if (photo >= 0 && photo !== chosen.photo) choosePhoto(photo);
  const layer = wanted.get("layer");
  if (layer === null) return;
  if (!paths.includes(layer)) return say(`There is no layer ${layer} on this page.`);
  const text = wanted.get("channel");
  const channel = text !== null && /^\d+$/.test(text) ? Number(text) : null;
  const known = grids.filter((grid) => grid.path === layer);
  const home = known.find((grid) => grid.kind === kindOpen && grid.channels.includes(channel))
    ?? known.find((grid) => grid.channels.includes(channel));
  if (channel !== null && home) {
    kindOpen = home.kind;
    open(layer, channel, { scroll: true });
  } else {
    goTo(layer);
    if (channel !== null) say(`There is no channel ${channel} of ${layer} on this page.`);
  }
}

function goTo(layer) {
  const article = grids.find((grid) => grid.path === layer)?.article;
  if (!article) return;
  scrollTo({ top: article.getBoundingClientRect().top + scrollY - one(".bar").offsetHeight - (wide.matches ? 56 : 8), behavior: "instant" });
  one("h3", article).focus({ preventScroll: true });
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || one("dialog[open]")) return;
  const field = event.target.closest?.("input, select, textarea");
  if (event.key === "Escape") {
    if (field) field.blur();
    else close();
    return;
  }
  if (field) return;
  const inGrid = event.target.closest?.(".tiles");
  const sideways = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const along = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (event.key === "/") one("#find").focus();
  else if (event.key === "?") one("#help").showModal();
  else if ((sideways || along) && (chosen.layer !== null || inGrid)) {
    if (chosen.layer === null) {
      kindOpen = inGrid.closest("article").dataset.grid;
      Object.assign(chosen, { layer: inGrid.closest("article").dataset.layer, channel: Number(event.target.dataset.channel) });
    }
    if (sideways) step(sideways);
    else stepLayer(along);
  } else return;
  event.preventDefault();
}

function startTheme() {
  const root = document.documentElement;
  const kept = () => { try { return localStorage.getItem("convlens-theme"); } catch { return null; } };
  const dark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  if (["dark", "light"].includes(kept())) root.dataset.theme = kept();
  one("#theme").addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    try { localStorage.setItem("convlens-theme", root.dataset.theme); } catch { /* not kept, then */ }
  });
}

function startFind() {
  const find = one("#find");
  const jump = () => {
    const text = find.value.trim();
    const layer = paths.find((path) => path === text) ?? (text && paths.find((path) => path.includes(text)));
    if (layer) {
      goTo(layer);
      say(layer);
    } else if (text) say(`No layer is called ${text}.`);
  };
  find.addEventListener("keydown", (event) => { if (event.key === "Enter") jump(); });
  find.addEventListener("input", () => { if (paths.includes(find.value)) jump(); });
}

function startChoices() {
  for (const key of ["scale", "order", "kept"]) {
    all(`input[name="${key}"]`).forEach((input) => input.addEventListener("change", () => {
      chosen[key] = input.value;
      drawLayers();
      refresh("activations");
      if (chosen.layer !== null) show(chosen.layer, chosen.channel, true);
    }));
  }
  all("button[data-photo]").forEach((button) => button.addEventListener("click", () => {
    choosePhoto(Number(button.dataset.photo));
    remember();
  }));
}

/** Pictures that the page carries itself get their address as they come near, or for the printer. */
function startPictures() {
  const give = (image) => { image.src = address(image.dataset.src); };
  const waiting = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      give(target);
      waiting.unobserve(target);
    }
  }, { rootMargin: "600px 0px" });
  all("img[data-src]").forEach((image) => waiting.observe(image));
  addEventListener("beforeprint", () => all("img.sheet[data-src]").forEach(give));
}

document.documentElement.classList.add("script");
startTheme();
startPanel();
startHeat();
startFind();
startChoices();
if (embedded) startPictures();
// paper has no later: pictures that wait to be scrolled to are asked for as soon as one prints
matchMedia("print").addEventListener("change", (paper) => {
  if (paper.matches) all("img[loading=lazy]").forEach((image) => { image.loading = "eager"; });
});
grids.forEach(measure);
choosePhoto(0);
grids.forEach((grid) => near.observe(grid.article));
one("#keys").addEventListener("click", () => one("#help").showModal());
addEventListener("keydown", onKey);
addEventListener("hashchange", follow);
let measuredAt = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === measuredAt) return;
  measuredAt = innerWidth;
  grids.forEach(measure);
  drawStrip();
});
follow();
if (panel && panel.hidden && wide.matches && grids[0]?.channels.length) show(grids[0].path, grids[0].channels[0], false);
