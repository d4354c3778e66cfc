// Why this class: a heatmap over the photo, its map alone, and the contrast with the likeliest other class.

const heatShown = { layer: 0, target: 0, view: "evidence" };

function drawTargets() {
  const targets = data.heat[heatShown.layer].images[chosen.photo] ?? [];
  const rows = targets.map((target, place) => {
    const input = make("input", { type: "radio", name: "target", value: place, checked: place === heatShown.target });
    return make("label", {}, input, ...scored(target));
  });
  role("targets").replaceChildren(...rows);
}

function drawHeat() {
  const layer = data.heat[heatShown.layer];
  const photo = data.photos[chosen.photo];
  const target = layer.images[chosen.photo]?.[heatShown.target];
  if (!target) return;
  const contrast = heatShown.view === "contrast";
  const shown = contrast ? target.contrast : target;
  const words = contrast && !target.contrast
    ? "There is no contrast to show: one of the two classes has no map here, or there is no other class."
    : contrast ? null : target.words;
  const base = role("why-photo");
  base.src = address(photo.picture);
  base.alt = `The photo ${photo.name}`;
  role("stack").style.setProperty("--shape", photo.width / photo.height);
  const heat = role("why-heat");
  const cells = role("why-cells");
  heat.hidden = cells.hidden = role("why-bar").hidden = Boolean(words);
  role("verdict").hidden = !words;
  role("verdict").textContent = words ?? "";
  role("why-caption").textContent = caption(layer, target, contrast, words);
  role("alone-caption").textContent = words ? "" : aloneCaption(layer, target, contrast);
  if (words) return;
  heat.src = address(contrast ? shown.cells : shown.smooth);
  heat.alt = contrast ? "" : `Heatmap of ${nameOf(target)} over the photo`;
  cells.src = address(shown.cells);
  cells.alt = `The ${contrast ? "contrast map" : "heatmap"} of ${nameOf(target)} alone`;
  cells.style.aspectRatio = `${photo.width} / ${photo.height}`;
  one(".scale", role("why-bar")).className = `scale ${contrast ? "contrast" : "inferno"}`;
  role("low").textContent = contrast ? `${shown.name ?? `class ${shown.runner_up}`}` : "low 0";
  role("high").textContent = contrast ? nameOf(target) : `high ${digits(target.maximum)}`;
}

function caption(layer, target, contrast, words) {
  if (words) return `${nameOf(target)} at ${layer.layer}: ${target.status}.`;
  if (!contrast && target.direction) {
    return `Bright: what in the photo ${target.direction === "up" ? "raises" : "lowers"} ${target.name}, seen by ${layer.layer}.`;
  }
  if (!contrast) return `Bright: what in the photo speaks for ${nameOf(target)}, seen by ${layer.layer}.`;
  return `Orange: more evidence for ${nameOf(target)}. Purple: more for ${target.contrast.name ?? `class ${target.contrast.runner_up}`}.`;
}

function aloneCaption(layer, target, contrast) {
  const size = `${layer.shape.join(" × ")} values`;
  if (!contrast) return `The map alone: ${size} of ${layer.layer}, by ${layer.method}.`;
  const { words, correlation } = target.contrast;
  const alike = correlation === null ? "" : ` The two maps correlate with ${correlation.toFixed(2)}${
    correlation > 0.9 ? ": they hardly tell the classes apart" : ""}.`;
  return `The difference of the two maps: ${size}. ${words}${alike}`;
}

function startHeat() {
  if (!data.heat.length) return;
  const pick = (name, key, convert) => all(`input[name="${name}"]`).forEach((input) =>
    input.addEventListener("change", () => {
      heatShown[key] = convert(input.value);
      drawTargets();
      drawHeat();
    }));
  pick("heat-layer", "layer", Number);
  pick("heat-view", "view", String);
  role("targets").addEventListener("change", (event) => {
    heatShown.target = Number(event.target.value);
    drawHeat();
  });
  slider(one("#strength"), (share) => { role("why-heat").style.opacity = share; });
}
