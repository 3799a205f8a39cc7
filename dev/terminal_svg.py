# Owns: drawing screens of a terminal, as `tmux capture-pane -e` gives them, as one animated SVG. Must not: run anything.
# Invariant: no script and no external reference in the picture; without animation it shows the last screen.
"""Screens → SVG."""

from __future__ import annotations

import re
import unicodedata
from html import escape

FRAMES, SECONDS, HOLD = 40, 18.0, 5.0
CELL, LINE, PAD = 7.8, 17, 12
BACKGROUND, FOREGROUND = "#16181d", "#d5d8de"
BASIC = ["#5c6370", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d5d8de"]
BRIGHT = ["#7f848e", "#ef7f88", "#a9d48a", "#f0cf8a", "#74bdf5", "#d48fe8", "#67c7d3", "#ffffff"]


def of_256(number: int) -> str:
    if number < 16:
        return (BASIC + BRIGHT)[number]
    if number < 232:
        at = number - 16
        return "#" + "".join(f"{0 if one == 0 else 55 + 40 * one:02x}" for one in (at // 36, at // 6 % 6, at % 6))
    return "#" + f"{8 + 10 * (number - 232):02x}" * 3


class Style:
    """What SGR sequences have said so far."""

    def __init__(self) -> None:
        self.colour, self.bold, self.dim, self.reverse = None, False, False, False

    def take(self, codes: str) -> None:
        numbers = [int(one or 0) for one in codes.split(";")]
        while numbers:
            code = numbers.pop(0)
            if code == 0:
                self.__init__()
            elif code in (1, 2, 7):
                setattr(self, {1: "bold", 2: "dim", 7: "reverse"}[code], True)
            elif code == 22:
                self.bold = self.dim = False
            elif code == 27:
                self.reverse = False
            elif 30 <= code <= 37:
                self.colour = BASIC[code - 30]
            elif 90 <= code <= 97:
                self.colour = BRIGHT[code - 90]
            elif code == 39:
                self.colour = None
            elif code in (38, 48):
                kind = numbers.pop(0) if numbers else 0
                value = of_256(numbers.pop(0)) if kind == 5 else "#" + "".join(f"{numbers.pop(0):02x}" for _ in range(3))
                if code == 38:
                    self.colour = value

    def attributes(self) -> str:
        found = f' fill="{self.colour}"' if self.colour else ""
        return found + (' font-weight="bold"' if self.bold else "") + (' opacity=".6"' if self.dim else "")


def width(text: str) -> int:
    return sum(0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)


def row(text: str) -> str:
    """One screen line as tspans, each at its own column: fonts differ in width, columns must not."""
    style, column, parts = Style(), 0, []
    for piece in re.split(r"(\x1b\[[0-9;:]*m|\x1b\([AB0]|\x0e|\x0f)", text):
        if found := re.fullmatch(r"\x1b\[([0-9;:]*)m", piece):
            style.take(found.group(1).replace(":", ";"))
        elif not piece.startswith("\x1b") and piece not in ("\x0e", "\x0f"):
            for words in re.finditer(r"\S(?:.*?\S)?(?=\s{2,}|\s*$)", piece):
                x = PAD + CELL * (column + width(piece[: words.start()]))
                length = width(words.group()) * CELL
                fit = f' textLength="{length:.0f}" lengthAdjust="spacingAndGlyphs"' if len(words.group()) > 1 else ""
                parts.append(f'<tspan x="{x:.0f}"{fit}{style.attributes()}>{escape(words.group(), quote=False)}</tspan>')
            column += width(piece)
    return "".join(parts)


def chosen(frames: list[tuple[float, list[str]]]) -> list[tuple[float, list[str]]]:
    """At most FRAMES screens, evenly over the steps of the run: quiet stretches are shortened to a second and a half."""
    shortened, at, before = [], 0.0, frames[0][0]
    for when, screen in frames:
        at, before = at + min(when - before, 1.5), when
        shortened.append((at, screen))
    total = shortened[-1][0] or 1.0
    kept: list[tuple[float, list[str]]] = []
    for when, screen in shortened:
        slot = when / total * (FRAMES - 1)
        if kept and int(slot) == int(kept[-1][0] / total * (FRAMES - 1)):
            kept[-1] = (kept[-1][0], screen)
        else:
            kept.append((when, screen))
    return [(when / total * SECONDS, screen) for when, screen in kept]


def picture(frames: list[tuple[float, list[str]]], columns: int, rows: int) -> str:
    shots = chosen(frames)
    whole = SECONDS + HOLD
    starts = [when / whole * 100 for when, _ in shots] + [100.0]
    # A line that stays is drawn once, for as long as it stays.
    spans: list[tuple[int, str, int, int]] = []
    for line in range(rows):
        begin = 0
        for at in range(1, len(shots) + 1):
            text = shots[begin][1][line] if line < len(shots[begin][1]) else ""
            following = (shots[at][1][line] if line < len(shots[at][1]) else "") if at < len(shots) else None
            if following != text:
                if text.strip():
                    spans.append((line, row(text), begin, at))
                begin = at
    intervals = sorted({(begin, end) for _, _, begin, end in spans})
    names = {interval: f"f{at}" for at, interval in enumerate(intervals)}
    rules, last = [], len(shots)
    for (begin, end), name in names.items():
        if begin == 0 and end == last:
            continue
        shown = "visible" if end == last else "hidden"
        on, off = starts[begin], starts[end]
        steps = ("0%{visibility:hidden}" if begin else "") + f"{on:.2f}%{{visibility:visible}}" + (f"{off:.2f}%{{visibility:hidden}}" if end < last else "")
        rules.append(f".{name}{{visibility:{shown};animation:{name} {whole:.0f}s step-end infinite}}@keyframes {name}{{{steps}}}")
    wide, high = PAD * 2 + columns * CELL, PAD * 2 + rows * LINE
    body = "\n".join(
        f'<text class="{names[begin, end]}" y="{PAD + LINE * line + 13}">{text}</text>' for line, text, begin, end in spans if text
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high}" viewBox="0 0 {wide:.0f} {high}" role="img">
<title>ovenbird builds a base image and two apps on it, then only the app whose role changed</title>
<style>text{{font:13px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;fill:{FOREGROUND};white-space:pre}}
{"".join(rules)}
@media (prefers-reduced-motion:reduce){{text{{animation:none!important}}}}</style>
<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>
{body}
</svg>
"""
