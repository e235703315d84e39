"""Drawn pictures with the look of photographs, for demos, browser tests, and whatever judges a picture by its looks.

Everything is painted on one sheet with blurred shapes (soft light, grain, no cartoon edges); the same bytes every run.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence

from PIL import Image, ImageChops, ImageDraw, ImageFilter

SHEET_PX = (900, 1200)
JPEG_QUALITY = 90

Colour = tuple[int, int, int]
Points = Sequence[tuple[float, float]]
Outline = str | Points
"""Corners of a closed curve; as text, "x,y x,y ..."."""


def portrait(width: int = 900, height: int = 1200) -> bytes:
    """A young woman at dusk in front of blurred city lights: a JPEG."""
    sheet = _dusk(SHEET_PX)
    _hair_behind(sheet)
    _shoulders(sheet)
    _face(sheet)
    _eyes(sheet)
    _fringe(sheet)
    return _develop(sheet, width, height)


def landscape(width: int = 1200, height: int = 900) -> bytes:
    """Mountains over a lake in the morning, pines in front: a JPEG."""
    sheet = _gradient((1200, 900), (96, 150, 214), (252, 214, 176))
    _blob(sheet, (760, 210, 860, 310), (255, 248, 220), 18)
    for left, top, right, bottom in (
        (80, 90, 420, 150),
        (180, 60, 360, 130),
        (520, 150, 760, 185),
        (900, 80, 1160, 140),
    ):
        _blob(sheet, (left, top, right, bottom), (255, 246, 236), 16, 0.8)
    ridge = "-300,470 130,330 220,400 380,220 520,420 640,340 800,450 980,290 1500,470"
    _shape(sheet, ridge + " 1500,900 -300,900", (112, 128, 168), 2)
    _shape(sheet, "380,220 430,292 396,280 372,300 346,262", (246, 246, 250), 2)
    _shape(sheet, "980,290 1020,318 984,324 950,316", (240, 242, 248), 2)
    _shape(sheet, "-300,540 240,450 480,540 760,470 1500,560 1500,900 -300,900", (74, 104, 96), 3)
    water = sheet.crop((0, 320, 1200, 610)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    sheet.paste(
        Image.blend(water, Image.new("RGB", water.size, (92, 132, 176)), 0.4).filter(ImageFilter.GaussianBlur(5)),
        (0, 610),
    )
    for row in range(12):
        level = 640 + row * row * 1.9
        _blob(sheet, (300 + row * 37 % 500, level, 620 + row * 61 % 560, level + 4), (255, 236, 210), 2, 0.5)
    _shape(sheet, "-300,800 300,770 640,850 1500,790 1500,1300 -300,1300", (58, 78, 44), 4)
    for x, size in ((70, 300), (170, 230), (1090, 330), (985, 210), (260, 150)):
        for tier in range(6):
            tip, half = 840 - size + tier * size * 0.14, size * (0.05 + tier * 0.032)
            branches = [(x, tip), (x + half, tip + size * 0.24), (x - half, tip + size * 0.24)]
            _shape(sheet, branches, (30, 58 + tier * 4, 44), 2)
    return _develop(sheet, width, height)


def fruit(width: int = 1200, height: int = 900) -> bytes:
    """An orange, a lime and plums on a table by a window: a JPEG."""
    sheet = _gradient((1200, 900), (206, 198, 186), (168, 148, 130))
    _shape(sheet, "-600,540 600,520 1800,480 1800,1500 -600,1500", (150, 100, 62), 3)
    balls = (
        ((330, 300, 690, 660), (238, 138, 30)),
        ((640, 430, 900, 690), (118, 168, 44)),
        ((180, 500, 400, 720), (96, 44, 92)),
        ((480, 600, 690, 800), (122, 48, 84)),
    )
    for (left, top, right, bottom), colour in balls:
        side = right - left
        _blob(
            sheet,
            (left + side * 0.2, bottom - side * 0.16, right + side * 0.4, bottom + side * 0.12),
            (66, 40, 26),
            18,
            0.8,
        )
        _blob(sheet, (left, top, right, bottom), colour, 1.5)
        shade = (colour[0] // 2, colour[1] // 2, colour[2] // 2)
        _blob(sheet, (left + side * 0.30, top + side * 0.45, right - 6, bottom - 6), shade, side * 0.11, 0.75)
        glow = (min(255, colour[0] + 70), min(255, colour[1] + 70), min(255, colour[2] + 60))
        _blob(
            sheet, (left + side * 0.14, top + side * 0.1, left + side * 0.6, top + side * 0.5), glow, side * 0.09, 0.8
        )
        _blob(
            sheet,
            (left + side * 0.24, top + side * 0.18, left + side * 0.38, top + side * 0.28),
            (255, 252, 244),
            5,
            0.9,
        )
    _shape(sheet, "500,300 560,230 650,236 590,296", (70, 118, 44), 2)
    return _develop(sheet, width, height)


def _dusk(size: tuple[int, int]) -> Image.Image:
    sheet = _gradient(size, (58, 74, 128), (240, 158, 120))
    lights = (
        (90, 240, 46),
        (210, 520, 60),
        (70, 760, 52),
        (800, 180, 58),
        (850, 470, 66),
        (760, 690, 44),
        (640, 90, 36),
        (330, 80, 40),
    )
    for number, (x, y, r) in enumerate(lights):
        colour = ((255, 206, 120), (255, 150, 140), (150, 214, 240))[number % 3]
        _blob(sheet, (x - r, y - r, x + r, y + r), colour, 5, 0.55)
    return sheet.filter(ImageFilter.GaussianBlur(3))


def _hair_behind(sheet: Image.Image) -> None:
    mass = "450,130 600,150 690,260 720,440 730,660 770,900 640,960 260,960 130,900"
    _shape(sheet, mass + " 170,660 180,440 210,260 300,150", (62, 36, 30), 2.5)
    for x, lean in ((200, -30), (232, -20), (690, 26), (664, 16), (712, 34)):
        _shape(sheet, [(x, 420), (x + 14, 420), (x + lean + 10, 900), (x + lean, 900)], (118, 72, 50), 6, 0.7)


def _shoulders(sheet: Image.Image) -> None:
    _shape(sheet, "372,760 528,760 548,960 352,960", (206, 150, 122), 2.5)
    _shape(sheet, "372,770 528,770 536,880 450,900 368,866", (150, 94, 78), 14, 0.8)
    _shape(sheet, "60,1500 100,1060 250,970 352,930 450,1010 548,930 650,970 800,1060 840,1500", (222, 226, 234), 2)
    _shape(sheet, "560,1200 600,1010 690,990 790,1060 810,1200", (150, 158, 186), 20, 0.8)
    _shape(sheet, "352,930 450,1010 548,930 566,960 450,1062 334,960", (176, 58, 66), 2)
    _shape(sheet, "420,1040 480,1040 500,1180 450,1200 404,1180", (186, 62, 70), 2)


def _face(sheet: Image.Image) -> None:
    outline = "450,250 560,272 628,350 640,480 622,610 566,726 486,800 450,808 414,800 334,726"
    _shape(sheet, outline + " 278,610 260,480 272,350 340,272", (238, 190, 162), 2.5)
    _shape(sheet, "600,340 646,480 620,620 560,730 480,806 540,690 590,560", (196, 132, 110), 16, 0.75)
    for x in (336, 566):
        _blob(sheet, (x - 56, 590, x + 56, 664), (234, 138, 124), 24, 0.6)
    _blob(sheet, (350, 330, 520, 430), (252, 218, 192), 34, 0.7)
    _shape(sheet, "456,520 480,610 470,636 448,636", (206, 146, 122), 8, 0.7)
    _blob(sheet, (436, 590, 456, 618), (255, 226, 206), 7, 0.8)
    for x in (430, 472):
        _blob(sheet, (x - 7, 632, x + 7, 642), (150, 84, 74), 3, 0.8)
    _shape(sheet, "394,702 430,690 450,696 470,690 506,702 450,714", (184, 76, 84), 3)
    _shape(sheet, "394,704 450,712 506,704 478,736 450,742 422,736", (214, 104, 106), 3)
    _shape(sheet, "398,702 450,708 502,702 450,713", (120, 40, 52), 2)
    _blob(sheet, (434, 720, 470, 728), (248, 176, 170), 4, 0.7)


def _eyes(sheet: Image.Image) -> None:
    for x, side in ((356, -1), (544, 1)):
        _blob(sheet, (x - 58, 478, x + 58, 566), (206, 146, 126), 14, 0.6)
        white = [(x - 50, 530), (x - 26, 500), (x, 492), (x + 26, 500), (x + 50, 530), (x + 20, 550), (x - 20, 550)]
        _shape(sheet, white, (246, 242, 240), 2)
        _blob(sheet, (x - 26, 492, x + 26, 550), (66, 92, 70), 2)
        _blob(sheet, (x - 20, 520, x + 20, 548), (126, 164, 108), 5, 0.8)
        _blob(sheet, (x - 11, 508, x + 11, 534), (18, 16, 20), 2)
        _blob(sheet, (x - 16, 498, x - 2, 512), (255, 255, 255), 1.5)
        _shape(
            sheet,
            [
                (x - 56, 530),
                (x - 28, 494),
                (x, 484),
                (x + 28, 494),
                (x + 56, 530),
                (x + 26, 504),
                (x, 496),
                (x - 26, 504),
            ],
            (46, 26, 26),
            2,
        )
        brow = [(x - 62 * side, 446), (x, 424), (x + 60 * side, 446), (x, 438)]
        _shape(sheet, brow, (86, 52, 42), 3)


def _fringe(sheet: Image.Image) -> None:
    left = "450,170 330,190 246,290 226,480 244,640 268,560 284,440 340,380 420,330 470,240"
    right = "450,170 570,190 654,290 674,480 656,640 634,560 616,440 580,380 520,340 440,240"
    for lock in (left, right):
        _shape(sheet, lock, (74, 44, 36), 2)
    strands = (
        (400, 190, 300, 380),
        (360, 200, 262, 420),
        (500, 190, 600, 380),
        (540, 200, 642, 430),
        (440, 180, 350, 340),
        (470, 184, 560, 340),
    )
    for x0, y0, x1, y1 in strands:
        _shape(sheet, [(x0, y0), (x0 + 12, y0), (x1 + 8, y1), (x1, y1)], (150, 96, 66), 5, 0.7)
    _shape(sheet, "290,262 440,214 600,262 560,284 440,246 330,288", (196, 142, 104), 11, 0.55)


def _gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    ramp = Image.linear_gradient("L").resize(size)
    return Image.composite(Image.new("RGB", size, bottom), Image.new("RGB", size, top), ramp)


def _blob(
    sheet: Image.Image, box: tuple[float, float, float, float], colour: Colour, blur: float, strength: float = 1.0
) -> None:
    left, top, right, bottom = box
    reach = int(blur * 3) + 2
    origin = (int(left) - reach, int(top) - reach)
    mask = Image.new("L", (int(right - left) + 2 * reach, int(bottom - top) + 2 * reach))
    ImageDraw.Draw(mask).ellipse(
        (left - origin[0], top - origin[1], right - origin[0], bottom - origin[1]), fill=round(255 * strength)
    )
    sheet.paste(colour, origin, mask.filter(ImageFilter.GaussianBlur(blur)))


def _shape(sheet: Image.Image, outline: Outline, colour: Colour, blur: float, strength: float = 1.0) -> None:
    """A closed smooth curve inside the outline, filled."""
    smooth = _rounded(_corners(outline) if isinstance(outline, str) else outline)
    xs, ys = [x for x, _ in smooth], [y for _, y in smooth]
    reach = int(blur * 3) + 2
    origin = (int(min(xs)) - reach, int(min(ys)) - reach)
    mask = Image.new("L", (int(max(xs) - min(xs)) + 2 * reach, int(max(ys) - min(ys)) + 2 * reach))
    ImageDraw.Draw(mask).polygon([(x - origin[0], y - origin[1]) for x, y in smooth], fill=round(255 * strength))
    sheet.paste(colour, origin, mask.filter(ImageFilter.GaussianBlur(blur)))


def _corners(outline: str) -> Points:
    return [(float(x), float(y)) for x, y in (corner.split(",") for corner in outline.split())]


def _rounded(points: Points, rounds: int = 2) -> Points:
    """Chaikin's corner cutting."""
    for _ in range(rounds):
        cut: list[tuple[float, float]] = []
        for (x0, y0), (x1, y1) in zip(points, [*points[1:], points[0]], strict=True):
            cut += [(x0 * 0.75 + x1 * 0.25, y0 * 0.75 + y1 * 0.25), (x0 * 0.25 + x1 * 0.75, y0 * 0.25 + y1 * 0.75)]
        points = cut
    return points


def _develop(sheet: Image.Image, width: int, height: int) -> bytes:
    """Grain, then a JPEG of the asked size."""
    grain = _grain(sheet.size)
    sheet = ImageChops.add(sheet, Image.merge("RGB", (grain, grain, grain)), 1, -128)
    out = io.BytesIO()
    sheet.resize((width, height), Image.Resampling.LANCZOS).save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def _grain(size: tuple[int, int], cell: int = 128) -> Image.Image:
    """Sensor noise around mid-gray: checksums make a fine fixed random source."""
    noise = bytes(128 + zlib.crc32(spot.to_bytes(4, "big")) % 13 - 6 for spot in range(cell * cell))
    tile = Image.frombytes("L", (cell, cell), noise)
    sheet = Image.new("L", size)
    for y in range(0, size[1], cell):
        for x in range(0, size[0], cell):
            sheet.paste(tile, (x, y))
    return sheet
