"""Writes glyphs.txt: the outlines of the characters that the pictures use, as one text line per glyph.

    pip install fonttools && python extract.py Roboto-Regular.ttf Roboto-Medium.ttf > glyphs.txt

Run once per change of the font or of the character set; neither the build nor the library needs Python or a font file.
The fonts come from Debian's package fonts-roboto-unhinted (Roboto 2.138, Apache-2.0; see LICENSE.txt).
"""

import sys

from fontTools.pens.basePen import decomposeQuadraticSegment
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.ttLib import TTFont

CHARACTERS = (
    "".join(map(chr, range(0x20, 0x7F)))
    + "αβγδεζηθικλμνξοπρστυφχψωΔΣ"
    + "⁰¹²³⁴⁵⁶⁷⁸⁹⁻−±×·°≈≤≥∞–—’…"
)


def outline(glyphs, name):
    """The glyph as SVG path data in font units, y up: M, L and Q with absolute integers, Z."""
    pen = DecomposingRecordingPen(glyphs)
    glyphs[name].draw(pen)
    data = []
    number = lambda point: f"{round(point[0])} {round(point[1])}"
    for verb, points in pen.value:
        if verb == "qCurveTo" and points[-1] is None:  # a contour without an on-curve point: make one
            (x0, y0), (x1, y1) = points[-2], points[0]
            points = points[:-1] + (((x0 + x1) / 2, (y0 + y1) / 2),)
            data.append("M" + number(points[-1]))
        if verb == "qCurveTo":
            data += [f"Q{number(off)} {number(on)}" for off, on in decomposeQuadraticSegment(points)]
        else:
            data.append({"moveTo": "M", "lineTo": "L", "closePath": "Z"}[verb] + " ".join(map(number, points)))
    return "".join(data)


print("# Glyph outlines of Roboto (Copyright 2011 Google Inc., Apache License 2.0, see LICENSE.txt), made by extract.py.")
print("# `face <name> <units per em>`, then per glyph: code point, advance, outline (SVG path data, y up).")
for path in sys.argv[1:]:
    font = TTFont(path)
    glyphs, names = font.getGlyphSet(), font.getBestCmap()
    print("face", path.rsplit("-", 1)[1].split(".")[0].lower(), font["head"].unitsPerEm)
    for character in sorted(set(CHARACTERS)):
        name = names.get(ord(character))
        if name is None:
            print(f"not in {path}: {character}", file=sys.stderr)
        else:
            print(f"{ord(character):04x} {glyphs[name].width} {outline(glyphs, name)}".rstrip())
