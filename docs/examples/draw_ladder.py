"""Draws docs/pictures/lab-small.svg: what one task's prompts bring out of the ladder that ships.

python docs/examples/draw_ladder.py > docs/pictures/lab-small.svg
"""

from __future__ import annotations

import colorsys
import sys

import pyarrow as pa
import pyarrow.compute as pc

from crystal import datasets

TASK = "animal"
CHECKPOINTS = ("base-500", "sft-4", "sft-16", "sft-60", "dpo-20", "rl-30")
WIDTH, BAR, LEFT, TOP, GAP = 120, 9, 76, 40, 14
LEAST = 0.004  # a share narrower than half a unit is left out


def shares(table: pa.Table, checkpoint: str) -> dict[str, dict[str, float]]:
    """Return the probability of each option under each prompt, as a share of the listed options."""
    here = pc.and_(
        pc.equal(table["checkpoint"].cast("string"), checkpoint), pc.equal(table["task"].cast("string"), TASK)
    )
    found: dict[str, dict[str, float]] = {}
    for row in table.filter(here).select(["prompt", "option", "probability"]).to_pylist():
        found.setdefault(row["prompt"], {})[row["option"]] = row["probability"]
    return {
        prompt: {option: p / sum(own.values()) for option, p in own.items()} for prompt, own in found.items()
    }


def panel(prompts: dict[str, dict[str, float]], options: list[str], x: float, y: float) -> list[str]:
    """Draw one bar a prompt, cut into its options: one path for each option."""
    paths: dict[str, list[str]] = {option: [] for option in options}
    for i, own in enumerate(prompts.values()):
        start = x
        for option in options:
            if own[option] >= LEAST:
                paths[option].append(f"M{start:.1f} {y + (i + 0.5) * BAR:g}h{own[option] * WIDTH:.1f}")
            start += own[option] * WIDTH
    return [f'<path class="o{options.index(o)}" d="{"".join(path)}"/>' for o, path in paths.items() if path]


def draw() -> str:
    """Return the picture: a row a run, a column a checkpoint."""
    data = datasets.load("lab-small")
    options = data.runs["main"].truth["tasks"][TASK]["options"]
    height = 12 * BAR + GAP + 8
    size = LEFT + len(CHECKPOINTS) * (WIDTH + GAP), TOP + len(data.runs) * height + 30
    parts = [f'<rect width="{size[0]}" height="{size[1]}" fill="#fff"/>']
    for column, checkpoint in enumerate(CHECKPOINTS):
        x = LEFT + column * (WIDTH + GAP)
        parts.append(f'<text x="{x}" y="{TOP - 12}">{checkpoint}</text>')
        for row, run in enumerate(data.runs.values()):
            table = pa.concat_tables([run.table("exact"), run.table("between-exact")])
            prompts = dict(sorted(shares(table, checkpoint).items()))
            y = TOP + row * height
            parts += panel(prompts, options, x, y)
            if column == 0:
                parts.append(f'<text x="4" y="{y + 10}" font-weight="bold">{run.name}</text>')
                for i, context in enumerate(sorted({prompt.partition("/")[0] for prompt in prompts})):
                    middle = f'x="{LEFT - 6}" y="{y + (i * 3 + 2) * BAR:g}" text-anchor="end"'
                    parts.append(f"<text {middle}>{context}</text>")
    styles = ["text{font:10px sans-serif;fill:#222}path{fill:none;stroke-width:8}"]
    for i, option in enumerate(options):
        shade = (int(255 * part) for part in colorsys.hls_to_rgb(i / len(options), 0.4 + 0.2 * (i % 2), 0.6))
        styles.append(f".o{i}{{stroke:#{bytes(shade).hex()}}}")
        x = LEFT + i * (size[0] - LEFT) / len(options)
        parts.append(f'<path class="o{i}" d="M{x:.1f} {size[1] - 16}h8"/>')
        parts.append(f'<text x="{x + 11:.1f}" y="{size[1] - 12}">{option}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}">'
    return "\n".join([head, f"<style>{''.join(styles)}</style>", *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    sys.stdout.write(draw())
