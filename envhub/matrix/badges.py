"""Badges: how many environments of each suite keep the contract."""

from __future__ import annotations

from collections import Counter

from envhub.matrix.results import NOT_RUN, Results

WIDTH = 6.6  # of a letter, in the 11 pixels of the text
GREEN, RED, GRAY = "#2e7d32", "#c62828", "#6b6b6b"


def badge(results: Results, suite: str) -> str:
    """Return an SVG image with the suite's name and its state on all sets that were run."""
    counts = Counter(row.state for row in results.of(suite) if row.run)
    ran = sum(counts.values())
    text, colour = f"{counts['pass']} of {ran} pass", RED if counts["fail"] else GREEN
    old = sum(bool(row.old) for row in results.of(suite))
    if old:
        text, colour = f"{old} of {ran} out of date", GRAY
    if not ran:
        text, colour = NOT_RUN, GRAY
    left, right = (round(len(part) * WIDTH + 12) for part in (suite, text))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{suite}: {text}"><title>{suite}: {text}</title>'
        f'<rect width="{left}" height="20" fill="#444"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        '<g fill="#fff" font-family="Verdana,sans-serif" font-size="11" text-anchor="middle">'
        f'<text x="{left / 2}" y="14">{suite}</text>'
        f'<text x="{left + right / 2}" y="14">{text}</text></g></svg>\n'
    )
