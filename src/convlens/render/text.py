"""Titles and captions around a picture."""

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

PAPER, INK, SOFT = (255, 255, 255), (20, 20, 20), (90, 90, 90)
PAD, TITLE, CAPTION = 12, 20, 14  # pixels


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def wrap(text: str, size: int, width: int) -> list[str]:
    """Text in lines of at most `width` pixels; words that are longer are cut between letters."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if font(size).getlength(longer) <= width:
                line = longer
                continue
            lines += [line] if line else []
            while font(size).getlength(word) > width and len(word) > 1:
                fits = max(n for n in range(1, len(word) + 1) if n == 1 or font(size).getlength(word[:n]) <= width)
                lines.append(word[:fits])
                word = word[fits:]
            line = word
        lines.append(line)
    return lines


def write(image: Image.Image, at: tuple[int, int], text: str, size: int, colour: tuple[int, int, int] = INK) -> None:
    """Text at a place, in the picture itself."""
    ImageDraw.Draw(image).text(at, text, fill=colour, font=font(size))


def framed(picture: Image.Image, title: str, caption: str = "", least: int = 360) -> Image.Image:
    """A picture on white with its title above and a caption below, both whole, whatever their length.

    Args:
        picture: what to frame.
        title: above, large.
        caption: below, smaller; may have several lines.
        least: width in pixels that the text gets at least.
    """
    width = max(picture.width, least)
    above, below = wrap(title, TITLE, width) if title else [], wrap(caption, CAPTION, width) if caption else []
    top = PAD + len(above) * (TITLE + 6) + (4 if above else 0)
    bottom = PAD + len(below) * (CAPTION + 5)
    page = Image.new("RGB", (width + 2 * PAD, top + picture.height + bottom + PAD), PAPER)
    for number, line in enumerate(above):
        write(page, (PAD, PAD + number * (TITLE + 6)), line, TITLE)
    page.paste(picture, (PAD, top))
    for number, line in enumerate(below):
        write(page, (PAD, top + picture.height + PAD // 2 + number * (CAPTION + 5)), line, CAPTION, SOFT)
    return page
