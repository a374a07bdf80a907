"""A plot of recall against queries per second as SVG, by hand: no library is needed for a few lines and words."""

import math
from html import escape

WIDTH, HEIGHT = 760, 480
LEFT, RIGHT, TOP, BOTTOM = 88, 150, 48, 56
# Okabe and Ito's colours, which are told apart by all eyes; the shapes are for those who print.
COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
SHAPES = ("circle", "square", "triangle", "diamond", "down", "circle", "square")


def recall_plot(title, series):
    """`series` is of (name, [(recall, queries per second), ...])."""
    points = [point for _, points in series for point in points]
    x_low = min(0.95, math.floor(min(recall for recall, _ in points) * 20) / 20)
    y_low = _one_two_five(min(qps for _, qps in points), below=True)
    y_high = _one_two_five(max(qps for _, qps in points), below=False)
    if y_low == y_high:
        y_high *= 2

    def x(recall):
        return LEFT + (recall - x_low) / (1 - x_low) * (WIDTH - LEFT - RIGHT)

    def y(qps):
        return HEIGHT - BOTTOM - math.log(qps / y_low) / math.log(y_high / y_low) * (HEIGHT - TOP - BOTTOM)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        _text(LEFT, 26, title, size=15),
    ]
    for recall in _steps(x_low):
        out.append(_line(x(recall), TOP, x(recall), HEIGHT - BOTTOM, "#e4e4e4"))
        out.append(_text(x(recall), HEIGHT - BOTTOM + 18, f"{recall:.2f}", "middle"))
    tick = y_low
    while tick <= y_high * 1.001:
        out.append(_line(LEFT, y(tick), WIDTH - RIGHT, y(tick), "#e4e4e4"))
        out.append(_text(LEFT - 8, y(tick) + 4, f"{tick:,.0f}" if tick >= 1 else f"{tick:g}", "end"))
        tick = _one_two_five(tick * 1.5, below=False)
    out.append(_line(LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "#444"))
    out.append(_line(LEFT, TOP, LEFT, HEIGHT - BOTTOM, "#444"))
    out.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "recall@10", "middle"))
    middle = (TOP + HEIGHT - BOTTOM) / 2
    out.append(
        _text(
            18, middle, "queries per second, one thread", "middle", f' transform="rotate(-90 18 {middle:g})"'
        )
    )
    # The first is drawn last, above the others.
    for i, (name, points) in reversed(list(enumerate(series))):
        colour, shape = COLOURS[i % len(COLOURS)], SHAPES[i % len(SHAPES)]
        places = [(x(recall), y(qps)) for recall, qps in points]
        path = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
        out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [_marker(shape, left, top, colour) for left, top in places]
        left, top = WIDTH - RIGHT + 20, TOP + 12 + 22 * i
        out.append(_line(left, top, left + 24, top, colour, 2))
        out.append(_marker(shape, left + 12, top, colour))
        out.append(_text(left + 32, top + 4, name))
    return "\n".join([*out, "</svg>", ""])


def _steps(low):
    """Round recalls from `low` to 1, up to ten of them."""
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2) if (1 - low) / step <= 10)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, round(1 / step) + 1)]


def _one_two_five(value, below):
    """The nearest of 1, 2, 5, 10, 20, ... that is not above, or not below."""
    power = 10.0 ** math.floor(math.log10(value) + 1e-9)
    steps = [power * factor for factor in (1, 2, 5, 10)]
    if below:
        return max(step for step in steps if step <= value * 1.0001)
    return min(step for step in steps if step >= value * 0.9999)


def _line(x1, y1, x2, y2, colour, width=1):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def _text(x, y, text, anchor="start", more="", size=None):
    size = f' font-size="{size}"' if size else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{size}{more}>{escape(text)}</text>'


def _marker(shape, x, y, colour):
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    corners = {
        "square": ((-3.5, -3.5), (3.5, -3.5), (3.5, 3.5), (-3.5, 3.5)),
        "triangle": ((0, -5), (4.5, 3.5), (-4.5, 3.5)),
        "diamond": ((0, -5), (5, 0), (0, 5), (-5, 0)),
        "down": ((0, 5), (4.5, -3.5), (-4.5, -3.5)),
    }[shape]
    path = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    return f'<polygon points="{path}" fill="{colour}"/>'
