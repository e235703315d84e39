"""The local picture maker: an anime drawing of a photo, made with plain image filters.

Same bytes in, same bytes out. It knows no network, no model and no randomness, so every checkout of the product can
make pictures without an account anywhere. The steps, in the order of an animation studio: flatten the photo into calm
areas, paint them in cel-shading steps, draw ink lines, let the light bloom.
"""

from __future__ import annotations

import functools
import io
import math

from PIL import Image, ImageChops, ImageFilter, ImageOps

MAX_SIDE_PX = 1280
MIN_DRAWN_SIDE_PX = 1024
"""Small photos are drawn larger than they are: strokes need room."""
MARGIN_PX = 24
"""Repeated border around the picture while filtering, so that shifted copies never wrap into view."""
WEBP_QUALITY = 88
WEBP_METHOD = 3

SHADES = 6
SHADE_SOFTNESS = 0.3
MIDDLE_GRAY = 0.47
INK = (66, 40, 88)
PAPER = (252, 248, 242)
LEAK = (255, 128, 96)
LEAK_STRENGTH = 105
EDGE = 178
"""Where Pillow's radial gradient meets the middle of its square's sides."""
COLOURLESS_BELOW = 7
_DUSK = ((34, 24, 74), (104, 62, 140), (226, 108, 134), (255, 186, 140), (255, 250, 228))
"""Black-and-white photos are painted in the colours of an evening sky, darkest first."""

Colour = tuple[float, float, float]


def stylize(photo: bytes) -> bytes:
    """The anime drawing of a JPEG, PNG or WebP photo, as WebP of at most MAX_SIDE_PX a side."""
    with Image.open(io.BytesIO(photo), formats=("JPEG", "PNG", "WEBP")) as opened:
        opened.draft(None, (MAX_SIDE_PX, MAX_SIDE_PX))
        sheet = _sheet(opened)
    out = io.BytesIO()
    draw(sheet).save(out, "WEBP", quality=WEBP_QUALITY, method=WEBP_METHOD)
    return out.getvalue()


def draw(sheet: Image.Image) -> Image.Image:
    """The drawing of an RGB picture, same size."""
    width, height = sheet.size
    unit = max(width, height) / MAX_SIDE_PX
    framed = _frame(_exposed(sheet), MARGIN_PX)
    sketch = _calmed(framed.filter(ImageFilter.GaussianBlur(0.8 * unit)), 2.5 * unit)
    calm = _calmed(_calmed(sketch, 4 * unit), 3 * unit)
    painted = _painted(calm, unit)
    strokes = ImageChops.multiply(painted, Image.new("RGB", painted.size, INK))
    inked = Image.composite(strokes, painted, _ink(sketch, calm))
    lit = ImageChops.screen(inked, _bloom(painted))
    return _leak(lit.crop((MARGIN_PX, MARGIN_PX, MARGIN_PX + width, MARGIN_PX + height)))


def _sheet(opened: Image.Image) -> Image.Image:
    """RGB on paper, scaled to drawing size."""
    picture = opened
    if picture.has_transparency_data:
        ink = picture.convert("RGBA")
        picture = Image.new("RGB", ink.size, PAPER)
        picture.paste(ink, mask=ink.getchannel("A"))
    picture = picture.convert("RGB")
    scale = min(MAX_SIDE_PX, max(MIN_DRAWN_SIDE_PX, *picture.size)) / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _exposed(picture: Image.Image) -> Image.Image:
    """Contrast stretched and dark pictures lifted: a night in anime is blue, not black."""
    stretched = ImageOps.autocontrast(picture, cutoff=(0.3, 0.6), preserve_tone=True)
    picture = Image.blend(picture, stretched, 0.65)
    counts = picture.convert("L").histogram()
    mean = sum(level * count for level, count in enumerate(counts)) / sum(counts) / 255
    gamma = math.log(MIDDLE_GRAY) / math.log(min(0.98, max(0.02, mean)))
    return picture.point([round(255 * (level / 255) ** min(1.05, max(0.6, gamma))) for level in range(256)] * 3)


def _frame(picture: Image.Image, margin: int) -> Image.Image:
    width, height = picture.size
    framed = Image.new("RGB", (width + 2 * margin, height + 2 * margin))
    framed.paste(picture.crop((0, 0, width, 1)).resize((width, margin)), (margin, 0))
    framed.paste(picture.crop((0, height - 1, width, height)).resize((width, margin)), (margin, height + margin))
    framed.paste(picture, (margin, margin))
    tall = height + 2 * margin
    framed.paste(framed.crop((margin, 0, margin + 1, tall)).resize((margin, tall)), (0, 0))
    framed.paste(framed.crop((width + margin - 1, 0, width + margin, tall)).resize((margin, tall)), (width + margin, 0))
    return framed


def _calmed(picture: Image.Image, radius: float) -> Image.Image:
    """Each pixel takes the colour of its calmest neighbourhood of eight (after Kuwahara): flat areas, crisp edges."""
    reach = max(2, round(radius))
    diagonal = round(reach * 0.7)
    window = ImageFilter.BoxBlur(reach * 0.7)
    mean = picture.filter(window)
    unrest = ImageChops.difference(picture.convert("L"), mean.convert("L")).point(_times(6)).filter(window)
    chosen, lowest = ImageChops.offset(mean, reach, 0), ImageChops.offset(unrest, reach, 0)
    for right, down in (
        (diagonal, diagonal),
        (0, reach),
        (-diagonal, diagonal),
        (-reach, 0),
        (-diagonal, -diagonal),
        (0, -reach),
        (diagonal, -diagonal),
    ):
        there = ImageChops.offset(unrest, right, down)
        calmer = ImageChops.subtract(lowest, there).point(_times(32))
        chosen = Image.composite(ImageChops.offset(mean, right, down), chosen, calmer)
        lowest = ImageChops.darker(lowest, there)
    return chosen


def _painted(calm: Image.Image, unit: float) -> Image.Image:
    """Light in a few flat steps, colours in the studio's palette."""
    light, blue, red = calm.convert("YCbCr").split()
    steps = light.filter(ImageFilter.GaussianBlur(2 * unit)).point(_stairs())
    light = Image.blend(light, steps, 0.8)
    spread = max(high - low for low, high in (_middle_range(blue), _middle_range(red)))
    if spread < COLOURLESS_BELOW:
        return Image.merge("RGB", [light.point(ramp) for ramp in _dusk_ramps()])
    soft = ImageFilter.GaussianBlur(1.5 * unit)
    return Image.merge("YCbCr", (light, blue.filter(soft), red.filter(soft))).convert("RGB").filter(_palette())


def _ink(sketch: Image.Image, calm: Image.Image) -> Image.Image:
    """Where lines go: thin ones for details, bold ones around areas, their dashes run together."""
    fine = _edges(sketch, sigma=1.1, gain=8, bias=60).filter(ImageFilter.MedianFilter(3)).point(_times(0.7))
    bold = _edges(calm, sigma=2.2, gain=7, bias=26).filter(ImageFilter.GaussianBlur(2))
    return ImageChops.lighter(fine, bold.point([min(255, max(0, (level - 70) * 3)) for level in range(256)]))


def _edges(picture: Image.Image, *, sigma: float, gain: float, bias: int) -> Image.Image:
    """The dark side of every edge: difference of two gaussians, strongest of the three channels, softly thresholded."""
    near, far = (picture.filter(ImageFilter.GaussianBlur(blur)) for blur in (sigma, sigma * 1.8))
    red, green, blue = ImageChops.subtract(far, near, 1 / gain).split()
    strongest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return strongest.point([min(255, max(0, (level - bias) * 3)) for level in range(256)])


def _bloom(painted: Image.Image) -> Image.Image:
    small = painted.reduce(4)
    bright = small.convert("L").point([min(255, max(0, (level - 150) * 3)) for level in range(256)])
    glow = ImageChops.multiply(small, Image.merge("RGB", (bright, bright, bright))).filter(ImageFilter.GaussianBlur(10))
    return glow.resize(painted.size, Image.Resampling.BICUBIC).point(_times(0.26) * 3)


def _leak(picture: Image.Image) -> Image.Image:
    """Warm light leaking in at the upper right, as into an old film camera."""
    width, height = picture.size
    falling = [round(LEAK_STRENGTH * max(0.0, 1 - level / EDGE) ** 1.4) for level in range(256)]
    fade = Image.radial_gradient("L").point(falling)
    spot = fade.resize((max(1, round(width * 1.3)), max(1, round(height * 1.1))), Image.Resampling.BICUBIC)
    mask = Image.new("L", picture.size)
    mask.paste(spot, (width - round(spot.width * 0.52), -round(spot.height * 0.5)))
    return Image.composite(ImageChops.screen(picture, Image.new("RGB", picture.size, LEAK)), picture, mask)


def _middle_range(channel: Image.Image) -> tuple[int, int]:
    """The values between which all but the outermost hundredths of a channel lie."""
    counts = channel.histogram()
    outside = sum(counts) // 100
    bounds = []
    for levels in (range(256), range(255, -1, -1)):
        seen = 0
        for level in levels:
            seen += counts[level]
            if seen > outside:
                bounds.append(level)
                break
    return bounds[0], bounds[1]


def _times(factor: float) -> list[int]:
    return [min(255, round(level * factor)) for level in range(256)]


@functools.cache
def _stairs() -> list[int]:
    """A tone curve of SHADES flat steps joined by short smooth ramps."""
    curve = []
    for level in range(256):
        position = level / 255 * SHADES
        step = min(SHADES - 1, math.floor(position))
        rise = min(1.0, max(0.0, (position - step - 0.5) / SHADE_SOFTNESS + 0.5))
        curve.append(round(255 * (step + rise * rise * (3 - 2 * rise)) / SHADES))
    return curve


@functools.cache
def _dusk_ramps() -> list[list[int]]:
    ramps: list[list[int]] = [[], [], []]
    for level in range(256):
        position = level / 255 * (len(_DUSK) - 1)
        at = min(len(_DUSK) - 2, math.floor(position))
        for ramp, low, high in zip(ramps, _DUSK[at], _DUSK[at + 1], strict=True):
            ramp.append(round(low + (high - low) * (position - at)))
    return ramps


@functools.cache
def _palette() -> ImageFilter.Color3DLUT:
    return ImageFilter.Color3DLUT.generate(17, _graded)


def _graded(red: float, green: float, blue: float) -> Colour:
    """Clear midtones, rosy light, violet shadows; pale colours gain most saturation, vivid ones least."""
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    brightest = max(red, green, blue)
    vividness = (brightest - min(red, green, blue)) / brightest if brightest else 0.0
    gain = 1.18 + 0.5 * (1 - vividness) * min(1.0, vividness * 4)
    tone = 0.075 + 0.935 * (light + 0.045 * math.sin((light - 0.5) * 2 * math.pi))
    shadow, glow = (1 - tone) ** 2, tone**2
    tints = (0.035 * glow + 0.025 * shadow, -0.008 * glow - 0.03 * shadow, 0.012 * glow + 0.085 * shadow)
    mixed = [
        min(1.0, max(0.0, tone + (part - light) * gain + tint))
        for part, tint in zip((red, green, blue), tints, strict=True)
    ]
    return mixed[0], mixed[1], mixed[2]
