"""The report as a person uses it, in a real browser, opened from disk without a network."""

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import convlens
from convlens import page as pages
from convlens.jobs import survey as surveying

playwright = pytest.importorskip("playwright.sync_api", reason='no playwright: pip install "convlens[test]"')
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
HOSTILE = "<img src=x onerror=hacked=1><script>hacked=1</script>"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A disc on grey, and stripes: two photos of different shapes."""
    home = tmp_path_factory.mktemp("photos")
    rows, columns = np.mgrid[:60, :90]
    disc = np.where(((rows - 30) ** 2 + (columns - 30) ** 2 < 300)[..., None], (220, 60, 40), (120, 120, 120))
    stripes = np.repeat(((np.arange(48) // 6 % 2) * 200 + 20)[None, :, None], 64, 0).repeat(3, 2)
    for name, pixels in (("disc", disc), ("stripes", stripes)):
        Image.fromarray(pixels.astype("uint8")).save(home / f"{name}.png")
    return [home / "disc.png", home / "stripes.png"]


@pytest.fixture(scope="module")
def network(model: Path) -> Any:
    return convlens.load(str(model), labels=["cat", "dog", "horse"])


@pytest.fixture(scope="module")
def folder(network: Any, photos: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("reports") / "report"
    convlens.report(network, photos, out)
    return out


@pytest.fixture(scope="module")
def single(folder: Path) -> Path:
    return pages.build(folder, folder.parent / "report.html", single_file=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@dataclass
class Opened:
    """A page in the browser, and what it said and asked for."""

    page: Any
    said: list[str]
    asked: list[str]


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Opened]]:
    """Opens a file with the network off; at the end, nothing may have been said on the console or asked for."""
    visits: list[Opened] = []

    def open_(path: Path, fragment: str = "", viewport: dict[str, int] = WIDE, **options: Any) -> Opened:
        context = browser.new_context(viewport=viewport, offline=True, **options)
        opened = Opened(context.new_page(), [], [])
        opened.page.set_default_timeout(8000)
        opened.page.on("console", lambda message: opened.said.append(message.text))
        opened.page.on("pageerror", lambda error: opened.said.append(str(error)))
        opened.page.on("request", lambda request: opened.asked.append(request.url))
        opened.page.goto(path.as_uri() + fragment)
        visits.append(opened)
        return opened

    yield open_
    for opened in visits:
        assert opened.said == []
        assert not [url for url in opened.asked if not url.startswith(("file:", "data:", "blob:"))]
        opened.page.context.close()


def tiles(page: Any, layer: str, kind: str = "activations") -> Any:
    grid = page.locator(f'article[data-layer="{layer}"][data-grid="{kind}"]')
    grid.scroll_into_view_if_needed()
    found = grid.locator("button[data-channel]")
    found.first.wait_for()
    return found


def order(page: Any, layer: str) -> list[int]:
    return tiles(page, layer).evaluate_all("found => found.map((tile) => Number(tile.dataset.channel))")


def number(page: Any, name: str) -> float:
    return float(page.locator(f'#channel .numbers div:has(dt:text-is("{name}")) dd').inner_text().split()[0])


def fragment(page: Any) -> dict[str, str]:
    """Of the page's address, asked of the page itself: what Playwright knows of it comes later."""
    hashed = page.evaluate("location.hash").removeprefix("#")
    return dict(part.split("=") for part in hashed.split("&") if part)


def until(page: Any, condition: str) -> None:
    """Waits for a condition. Playwright's own waiting evaluates text, which the page's policy forbids."""
    for _ in range(80):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never came true: {condition}")


def photographed(locator: Any) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(locator.screenshot())).convert("RGB")).astype(int)


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["folder", "single"])
def test_it_opens_from_disk_and_fits(
    request: pytest.FixtureRequest, visit: Callable, kind: str, scheme: str, viewport: dict[str, int]
) -> None:
    path = request.getfixturevalue(kind)
    page = visit(path / "index.html" if kind == "folder" else path, viewport=viewport, color_scheme=scheme).page
    assert page.title() == "small.keras · convlens"
    tiles(page, "late").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    over = page.evaluate(
        """[...document.querySelectorAll("main *, header *")]
        .filter((e) => e.getBoundingClientRect().right > innerWidth + 1)
        .filter((e) => !e.closest(".strip, .picker, nav, .hidden, .cover"))
        .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert over == []
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", back)[:3])) < 60) == (scheme == "dark")


def test_the_strip_shows_the_share_of_active_positions(
    visit: Callable, folder: Path, network: Any, photos: list[Path]
) -> None:
    page = visit(folder / "index.html").page
    found = convlens.activations(network, [str(path) for path in photos])
    for layer in ("early", "pool", "late"):
        share = float((found[layer][0] > 0).mean())
        assert page.locator(f'li:has([data-block="{layer}"]) small').inner_text() == str(round(100 * share))
    assert page.locator("li .dense").count() == 1
    heights = [page.locator(f'[data-block="{layer}"]').bounding_box()["height"] for layer in ("early", "late")]
    assert heights[0] / heights[1] == pytest.approx((5 / 18) ** 0.5, abs=0.03)


def test_pointing_at_a_channel_shows_it_with_its_numbers(
    visit: Callable, folder: Path, network: Any, photos: list[Path]
) -> None:
    page = visit(folder / "index.html").page
    values = convlens.activations(network, str(photos[0]), "late")["late"][0]
    strongest = int(values.mean((0, 1)).argmax())
    tiles(page, "late").nth(strongest).hover()
    assert page.locator("#channel [data-role=channel-name]").inner_text() == f"Channel {strongest}"
    assert number(page, "Mean activation") == pytest.approx(values[..., strongest].mean(), rel=0.01)
    assert number(page, "Greatest activation") == pytest.approx(values[..., strongest].max(), rel=0.01)
    assert number(page, "Positions active") == pytest.approx(100 * (values[..., strongest] > 0).mean(), abs=0.51)
    assert "rank 1 of 18" in page.locator("#channel .numbers").inner_text()
    assert not fragment(page)
    until(page, "document.querySelector('[data-role=channel-map]').width === 7")
    shown = photographed(page.locator("[data-role=channel-map]"))
    made = values[..., strongest].astype("float64")
    scaled = np.clip((made - made.mean()) / made.std() * 64 + 128, 0, 255).astype(int)
    from matplotlib import colormaps

    viridis = np.asarray(colormaps["viridis"].colors) * 255
    high, wide = made.shape
    for row in range(high):
        for column in range(wide):
            at = shown[int((row + 0.5) / high * len(shown)), int((column + 0.5) / wide * shown.shape[1])]
            assert np.abs(at - viridis[scaled[row, column]]).max() <= 3


def test_clicking_keeps_a_channel_and_the_link_leads_back_to_it(visit: Callable, folder: Path) -> None:
    page = visit(folder / "index.html").page
    tiles(page, "late").nth(7).click()
    assert fragment(page) == {"layer": "late", "channel": "7"}
    tiles(page, "late").nth(3).hover()
    assert page.locator("#channel [data-role=channel-name]").inner_text() == "Channel 3"
    page.mouse.move(2, 2)
    assert page.locator("#channel [data-role=channel-name]").inner_text() == "Channel 7"
    again = visit(folder / "index.html", page.evaluate("location.hash")).page
    assert again.locator("#channel [data-role=channel-name]").inner_text() == "Channel 7"
    assert again.locator("#channel [data-role=channel-layer]").inner_text() == "late"
    box = again.locator('[data-layer="late"] button.open').first.bounding_box()
    assert 0 < box["y"] < 900


def test_a_link_to_what_is_not_there_says_so(visit: Callable, folder: Path) -> None:
    page = visit(folder / "index.html", "#layer=nowhere&channel=1").page
    assert page.locator("#said").inner_text() == "There is no layer nowhere on this page."
    page = visit(folder / "index.html", "#layer=late&channel=99").page
    assert page.locator("#said").inner_text() == "There is no channel 99 of late on this page."


def test_a_filter_has_its_pattern_and_its_numbers(visit: Callable, folder: Path) -> None:
    page = visit(folder / "index.html").page
    made = json.loads((folder / "manifest.json").read_text())["patterns"]
    one = next(one for one in made if one["layer"] == "early")
    tiles(page, "early", "patterns").nth(2).click()
    assert number(page, "Activation before the ascent") == pytest.approx(one["filters"][2]["start"], rel=0.01)
    assert number(page, "Activation after it") == pytest.approx(one["filters"][2]["end"], rel=0.01)
    until(page, "document.querySelector('[data-role=channel-pattern]').width === 64")
    with Image.open(folder / one["sheet"]) as sheet:
        left, top = 2 % one["columns"] * 64, 2 // one["columns"] * 64
        expected = np.asarray(sheet.convert("RGB").crop((left, top, left + 64, top + 64))).reshape(-1, 3).mean(0)
    shown = photographed(page.locator("[data-role=channel-pattern]"))[8:-8, 8:-8].reshape(-1, 3).mean(0)
    assert np.abs(shown - expected).max() < 6


def test_channels_are_sorted_by_strength_and_the_blank_are_found(
    visit: Callable, folder: Path, network: Any, photos: list[Path]
) -> None:
    page = visit(folder / "index.html").page
    values = convlens.activations(network, str(photos[0]), "late")["late"][0]
    mean = values.mean((0, 1), dtype="float64")
    assert order(page, "late") == list(range(18))
    page.get_by_label("Strength", exact=True).check(force=True)
    shown = order(page, "late")
    assert sorted(shown) == list(range(18))
    assert all(mean[a] >= mean[b] * 0.999 for a, b in pairwise(shown))
    blank = [channel for channel in range(18) if values[..., channel].max() == values[..., channel].min()]
    page.get_by_label("Blank", exact=True).check(force=True)
    article = page.locator('article[data-layer="late"][data-grid="activations"]')
    assert article.locator("button[data-channel]").count() == len(blank)
    assert article.locator(".empty").is_visible() == (not blank)
    page.get_by_label("Varied", exact=True).check(force=True)
    assert article.locator("button[data-channel]").count() == 18 - len(blank)


def test_one_scale_for_the_layer_shows_other_pictures(visit: Callable, folder: Path) -> None:
    opened = visit(folder / "index.html")
    tiles(opened.page, "late")
    opened.page.get_by_label("Whole layer").check(force=True)
    opened.page.wait_for_timeout(200)
    sheet = tiles(opened.page, "late").first.evaluate("tile => getComputedStyle(tile).backgroundImage")
    assert sheet.endswith('late-layer.webp")')
    words = opened.page.locator('article[data-layer="late"] [data-role=explain]').inner_text()
    assert "all on one scale from 0 to" in words


def test_keys_go_through_channels_and_layers(visit: Callable, folder: Path) -> None:
    page = visit(folder / "index.html", "#layer=pool&channel=3").page
    page.keyboard.press("ArrowRight")
    assert fragment(page) == {"layer": "pool", "channel": "4"}
    page.keyboard.press("ArrowRight")  # the last one
    assert fragment(page)["channel"] == "4"
    page.keyboard.press("ArrowDown")
    assert fragment(page) == {"layer": "late", "channel": "4"}
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert fragment(page) == {"layer": "early", "channel": "3"}
    page.keyboard.press("Escape")
    assert "channel" not in fragment(page)


def test_all_can_be_done_without_a_mouse(visit: Callable, folder: Path) -> None:
    page = visit(folder / "index.html").page
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.type("lat")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    heading = page.locator('article[data-layer="late"][data-grid="activations"] h3')
    assert 0 < heading.bounding_box()["y"] < 450
    heading.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.channel") == "0"
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    assert fragment(page) == {"layer": "late", "channel": "1"}
    assert page.evaluate("document.activeElement.dataset.channel") == "1"
    assert page.locator("#said").inner_text().startswith("late, channel 1,")
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#help").is_visible()


def test_another_image_changes_everything_that_is_of_an_image(
    visit: Callable, folder: Path, network: Any, photos: list[Path]
) -> None:
    page = visit(folder / "index.html", "#layer=late&channel=2").page
    page.get_by_role("button", name="stripes").click()
    values = convlens.activations(network, [str(path) for path in photos], "late")["late"][1]
    assert number(page, "Greatest activation") == pytest.approx(values[..., 2].max(), rel=0.01)
    assert fragment(page) == {"layer": "late", "channel": "2", "image": "stripes"}
    guesses = convlens.heatmap(network, [str(path) for path in photos]).predictions[1]
    shown = page.locator("#overview [data-role=bars] li").all_inner_texts()
    assert [text.split()[0] for text in shown] == [guess.name for guess in guesses]
    assert [float(text.split()[1]) for text in shown] == pytest.approx([100 * g.score for g in guesses], abs=0.051)
    again = visit(folder / "index.html", page.evaluate("location.hash")).page
    assert again.locator("[data-role=photo-name]").inner_text() == "stripes"


def test_the_heatmap_follows_class_layer_view_and_strength(visit: Callable, folder: Path) -> None:
    page = visit(folder / "index.html").page
    heatmaps = json.loads((folder / "manifest.json").read_text())["heatmaps"]
    heat = page.locator("[data-role=why-heat]")
    slider = page.locator("#strength")
    slider.fill("0")
    bare = photographed(page.locator("[data-role=stack]"))
    slider.fill("80")
    assert page.locator('output[for="strength"]').inner_text() == "80 %"
    assert heat.evaluate("image => getComputedStyle(image).opacity") == "0.8"
    pictures = [one["pictures"][0] for one in heatmaps]
    ok = next(place for place, one in enumerate(pictures) if one["status"] == "ok")
    layers = list(dict.fromkeys(one["layer"] for one in heatmaps))
    page.locator('input[name="heat-layer"]').nth(layers.index(heatmaps[ok]["layer"])).check(force=True)
    page.locator('input[name="target"]').nth(ok % 3).check(force=True)
    page.wait_for_timeout(200)
    assert heat.get_attribute("src") == pictures[ok]["smooth"]
    assert np.abs(photographed(page.locator("[data-role=stack]")) - bare).mean() > 5
    high = float(page.locator("[data-role=high]").inner_text().split()[1])
    assert high == pytest.approx(heatmaps[ok]["range"][0][1], rel=0.01)


def test_a_heatmap_that_says_nothing_says_why(folder: Path, visit: Callable, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "r")
    manifest = json.loads((tmp_path / "r/manifest.json").read_text())
    for one in manifest["heatmaps"]:
        one["pictures"][0] = {"status": "zero gradient", "maximum": 0.0, "contrast": None}
    (tmp_path / "r/manifest.json").write_text(json.dumps(manifest))
    page = visit(pages.build(tmp_path / "r")).page
    page.locator("#why").scroll_into_view_if_needed()
    assert "does not change with this layer" in page.locator("[data-role=verdict]").inner_text()
    assert not page.locator("[data-role=why-heat]").is_visible()
    page.get_by_label("Contrast with the runner-up").check(force=True)
    assert "no contrast to show" in page.locator("[data-role=verdict]").inner_text()


def test_light_and_dark_can_be_switched(visit: Callable, folder: Path) -> None:
    page = visit(folder / "index.html", color_scheme="light").page
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Callable, folder: Path, scheme: str, viewport: dict[str, int]) -> None:
    if not AXE.is_file():
        pytest.skip("no axe-core: npm install --no-save axe-core@4 in the project's folder")
    page = visit(folder / "index.html", "#layer=late&channel=3", viewport=viewport, color_scheme=scheme).page
    tiles(page, "late", "patterns")
    page.evaluate(AXE.read_text())
    for press in ("Escape", "?"):
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        assert [(one["id"], [node["html"][:120] for node in one["nodes"]][:3]) for one in found] == []
        page.keyboard.press(press)
    assert page.evaluate("axe.run('dialog', {resultTypes: ['violations']})")["violations"] == []


def test_pictures_are_read_when_they_come_near(visit: Callable, folder: Path) -> None:
    opened = visit(folder / "index.html", viewport={"width": 390, "height": 300})
    opened.page.wait_for_timeout(300)
    assert not [url for url in opened.asked if url.endswith("/filters/late.webp")]
    tiles(opened.page, "late", "patterns")
    opened.page.wait_for_timeout(300)
    assert [url for url in opened.asked if url.endswith("/filters/late.webp")]


def test_the_first_paint_takes_less_than_a_second(visit: Callable, folder: Path) -> None:
    first = "performance.getEntriesByType('paint').find((entry) => entry.name === 'first-contentful-paint')?.startTime"
    times = []
    for _ in range(3):
        page = visit(folder / "index.html").page
        until(page, f"({first}) > 0")
        times.append(page.evaluate(first))
    assert min(times) < 1000


def test_on_paper_every_layer_is_there_and_no_controls(visit: Callable, folder: Path) -> None:
    page = visit(folder / "index.html").page
    page.emulate_media(media="print")
    assert page.locator("article .sheet").count() > 1
    until(page, "[...document.querySelectorAll('article .sheet')].every((image) => image.offsetHeight > 0)")
    for hidden in (".bar", ".toolbar", ".tiles", "footer", ".slider"):
        assert not page.locator(hidden).first.is_visible()
    assert len(page.pdf(format="A4")) > 20_000


def test_hostile_names_are_shown_as_text(
    model: Path, photos: list[Path], visit: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "in"
    home.mkdir()
    name = HOSTILE.replace("/", "") + ".png"
    shutil.copy(photos[0], home / name)
    network = convlens.load(str(model), labels=[f"../../{HOSTILE}{number}" for number in range(3)])
    monkeypatch.setattr(type(network), "source", f"../../{HOSTILE}")
    convlens.report(network, [home / name], tmp_path / "out" / "r")
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
    for path in (tmp_path / "out").rglob("*"):
        assert re.fullmatch(r"[A-Za-z0-9._-]+", path.name)
    manifest = json.loads((tmp_path / "out/r/manifest.json").read_text())
    text = json.dumps(manifest).replace('"late"', json.dumps(f"../../{HOSTILE}"))
    (tmp_path / "out/r/manifest.json").write_text(text)
    page = visit(pages.build(tmp_path / "out" / "r")).page
    article = page.locator('article[data-grid="activations"]').last
    article.scroll_into_view_if_needed()
    article.locator("button[data-channel]").first.click()
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.locator("#channel [data-role=channel-layer]").inner_text() == f"../../{HOSTILE}"
    assert HOSTILE in page.locator(".facts").inner_text()
    assert page.locator("#overview [data-role=photo-name]").inner_text() == Path(name).stem
    again = visit(tmp_path / "out/r/index.html", page.evaluate("location.hash")).page
    assert again.locator("#channel [data-role=channel-layer]").inner_text() == f"../../{HOSTILE}"


def test_an_interrupted_run_has_a_page_that_says_what_is_missing(
    network: Any, photos: list[Path], visit: Callable, tmp_path: Path
) -> None:
    def stop(name: str) -> None:
        if name == "patterns of late":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        surveying.survey(network, photos, tmp_path / "r", stage=stop)
    for path in (tmp_path / "r/index.html", pages.build(tmp_path / "r")):
        words = visit(path).page.locator("#overview .notice").first.inner_text()
        assert "This run was interrupted." in words
        assert "patterns of late" in words
        assert "patterns of early" not in words


def test_a_failure_is_on_the_page_and_the_rest_is_there(
    network: Any, photos: list[Path], visit: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any, **more: Any) -> None:
        raise RuntimeError("out of memory\nat allocator")

    monkeypatch.setattr(surveying, "heatmaps", fail)
    made = surveying.survey(network, photos, tmp_path / "r")
    assert made.failures == [{"what": "heatmaps", "why": "out of memory"}]
    page = visit(made.page).page
    assert "heatmaps: out of memory" in page.locator(".notice").first.inner_text()
    assert page.locator("#why").count() == 0
    assert tiles(page, "late").count() == 18


def test_a_run_in_which_all_fails_leaves_nothing(
    network: Any, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any, **more: Any) -> None:
        raise RuntimeError("broken")

    for name in ("heatmaps", "activations", "patterns_in_units"):
        monkeypatch.setattr(surveying, name, fail)
    with pytest.raises(RuntimeError, match="broken"):
        surveying.survey(network, photos, tmp_path / "r")
    assert os.listdir(tmp_path) == []


def test_the_bundled_networks_report_is_one_small_file(visit: Callable, tmp_path: Path) -> None:
    from convlens.bundled import photo

    made = convlens.report("bundled", photo(), tmp_path / "demo.html", single_file=True)
    assert [path.name for path in tmp_path.iterdir()] == ["demo.html"]
    assert made.stat().st_size < 6_000_000
    page = visit(made, "#layer=conv2d_7&channel=17").page
    assert page.locator("#channel [data-role=channel-name]").inner_text() == "Channel 17"
    until(page, "document.querySelector('[data-role=channel-map]').width === 34")
    shown = made._repr_html_()  # pyright: ignore[reportAttributeAccessIssue]
    (tmp_path / "notebook.html").write_text(f"<!doctype html><title>a notebook</title>{shown}")
    frame = visit(tmp_path / "notebook.html").page.frame_locator("iframe")
    tiles(frame, "conv2d_5").nth(3).click()
    assert frame.locator("#channel [data-role=channel-name]").inner_text() == "Channel 3"
