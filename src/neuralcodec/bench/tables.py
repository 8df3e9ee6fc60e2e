"""The tables of a benchmark, built once from its results and written as text, Markdown or HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from neuralcodec.bench.summary import AVERAGES, HEADLINES, METRICS, Average, key_of

Report = dict[str, Any]
NOTHING = "–"  # not reached, not measured


class Table(NamedTuple):
    """Cells of text. The first column names the row; `ours` is the index of the row to point out, or -1."""

    title: str
    note: str
    header: list[str]
    rows: list[list[str]]
    ours: int = -1
    folded: bool = False


class Headline(NamedTuple):
    """The saving of our codec at one quality: percent of bytes, the metric and the target."""

    saving: float
    metric: str
    target: str

    @property
    def quality(self) -> str:
        """`MS-SSIM 0.95`."""
        return f"{METRICS[self.metric].name} {self.target}"

    @property
    def share(self) -> str:
        """`70 % fewer`."""
        return f"{abs(self.saving):.0f} % {'fewer' if self.saving >= 0 else 'more'}"


def headlines(report: Report) -> list[Headline]:
    """List the savings of ours, one for each metric of the headline, at a quality that both codecs reach."""
    found = []
    for metric, targets in HEADLINES.items():
        at = report["summary"][report["ours"]]["at"][metric]
        reached = (key for key in (key_of(metric, t) for t in targets) if at[key]["saving"] is not None)
        found += [Headline(at[key]["saving"], metric, key) for key in list(reached)[:1]]
    return found


def title(report: Report) -> str:
    """Write the result in one sentence: what ours saves by each metric of the headline."""
    ours, reference = label(report, report["ours"]), label(report, report["reference"])
    found = headlines(report)
    if not found:
        return f"{ours} and {reference}, {plural(len(report['images']), 'picture')}"
    first, *rest = found
    parts = [f"{first.share} bytes than {reference} at {first.quality}"]
    return ", ".join([*parts, *(f"{other.share} at {other.quality}" for other in rest)])


def all_tables(report: Report) -> list[Table]:
    """Build all tables of a report, the means first."""
    tables = [mean_table(report, metric) for metric in METRICS if METRICS[metric].targets]
    tables += [bd_rate_table(report), versus_table(report)]
    if report["speed"] is not None:
        tables.append(speed_table(report))
    targets = ((metric, target) for metric in METRICS for target in METRICS[metric].targets)
    tables += [image_table(report, metric, target) for metric, target in targets]
    return [table for table in tables if len(table.header) > 1 and table.rows]


def mean_table(report: Report, metric: str) -> Table:
    """Build the table of bits per pixel at the target qualities of a metric, and of the savings."""
    reference = label(report, report["reference"])
    keys = [key_of(metric, target) for target in METRICS[metric].targets]
    header = ["codec", *(word for key in keys for word in (f"bpp at {key}", f"against {reference}"))]
    rows = []
    for codec, summary in report["summary"].items():
        at = (summary["at"][metric][key] for key in keys)
        cells = (cell for e in at for cell in (number(e["bpp"], 3), percent(e["saving"], flip=True)))
        rows.append([_row_label(report, codec), *cells])
    note = f"Mean of {plural(len(report['compared']), 'picture')}."
    table = Table(f"Bits per pixel at the same {METRICS[metric].name}", note, header, rows, _ours(report))
    return _reached(table, step=2)


def bd_rate_table(report: Report) -> Table:
    """Build the table of the average difference in bytes by each metric."""
    rows = [
        [_row_label(report, codec), *(percent(summary["bd_rate"][a.key], digits=1) for a in AVERAGES)]
        for codec, summary in report["summary"].items()
    ]
    reference = label(report, report["reference"])
    note = f"Average difference in bytes from {reference} at equal quality; less is better."
    header = ["codec", *(average.name for average in AVERAGES)]
    return _reached(Table("BD-rate", note, header, rows, _ours(report)))


def versus_table(report: Report) -> Table:
    """Build the table of the average difference in bytes between ours and each other codec."""
    rows = [
        [label(report, codec), *(percent(values[average.key], digits=1) for average in AVERAGES)]
        for codec, values in report["versus"].items()
    ]
    ours = label(report, report["ours"])
    note = f"BD-rate of {ours} against each; above zero it takes more bytes than the other, which is ahead."
    header = [f"{ours} against", *(average.name for average in AVERAGES)]
    return _reached(Table(f"{ours} against each codec", note, header, rows))


def averages(report: Report) -> list[tuple[Average, str]]:
    """List the BD-rates of ours that could be computed."""
    values = report["summary"][report["ours"]]["bd_rate"]
    return [(a, percent(values[a.key], digits=1)) for a in AVERAGES if values[a.key] is not None]


def image_table(report: Report, metric: str, target: float) -> Table:
    """Build the table of the bytes that each picture takes at one quality."""
    codecs = list(report["summary"])
    sizes = {
        (m["image"], m["codec"]): (count(m["bytes"]), percent(m["saving"], flip=True))
        for m in report["matched"]
        if (m["metric"], m["target"]) == (metric, target)
    }
    nothing = (NOTHING, NOTHING)
    rows = [
        [
            image,
            *(sizes.get((image, codec), nothing)[0] for codec in codecs),
            sizes.get((image, report["ours"]), nothing)[1],
        ]
        for image in dict.fromkeys(name for name, _ in sizes)
    ]
    reference = label(report, report["reference"])
    versus = f"{label(report, report['ours'])} against {reference}"
    header = ["picture", *(label(report, codec) for codec in codecs), versus]
    note = f"Between neighbouring settings of each codec; {NOTHING} where they do not reach that quality."
    name = f"{METRICS[metric].name} {key_of(metric, target)}"
    return _reached(Table(f"Bytes of each picture at {name}", note, header, rows, folded=True))


def speed_table(report: Report) -> Table:
    """Build the table of the codecs' speed and memory in this run."""
    speed = report["speed"]
    rows = [
        [
            label(report, codec),
            str(values["setting"]),
            rate(values["encode_mp_s"]),
            rate(values["decode_mp_s"]),
            NOTHING if values["peak_memory_mb"] is None else f"{values['peak_memory_mb']:,.0f}",
        ]
        for codec, values in speed["codecs"].items()
    ]
    sizes = " and ".join(f"{megapixels:.2f}" for megapixels in dict.fromkeys(speed["megapixels"]))
    note = (
        f"At the setting nearest to MS-SSIM 0.95; pictures of {sizes} megapixels, "
        f"{plural(speed['threads'], 'thread')}, medians of {plural(speed['rounds'], 'round')} in which the "
        "codecs take turns; one that needs more than ten seconds for a picture has a single turn. Memory is "
        "that of a whole process, Python and libraries included."
    )
    header = ["codec", "setting", "encode MP/s", "decode MP/s", "peak MB"]
    return Table("Speed and memory", note, header, rows, _ours(report, speed["codecs"]))


def _reached(table: Table, step: int = 1) -> Table:
    """Drop the columns, in groups of `step`, whose quality no codec reaches."""
    starts = range(1, len(table.header), step)
    reached = (start for start in starts if any(row[start] != NOTHING for row in table.rows))
    kept = [0, *(index for start in reached for index in range(start, start + step))]
    header, *rows = ([line[index] for index in kept] for line in (table.header, *table.rows))
    return table._replace(header=header, rows=rows)


def _row_label(report: Report, codec: str) -> str:
    """Return the label, with the number of pictures where the means are not over all."""
    pictures = report["summary"][codec]["pictures"]
    partial = pictures != len(report["compared"])
    return label(report, codec) + (f" ({plural(pictures, 'picture')})" if partial else "")


# ---- cells -----------------------------------------------------------------------------------------------


def label(report: Report, codec: str) -> str:
    """Return the name of a codec for readers."""
    return str(report["codecs"][codec]["label"])


def number(value: float | None, digits: int) -> str:
    """Write a decimal number."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def rate(value: float) -> str:
    """Write a speed, with two significant digits where it is below 1."""
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def count(value: float | None) -> str:
    """Write a whole number."""
    return NOTHING if value is None else f"{value:,.0f}"


def percent(value: float | None, *, digits: int = 0, flip: bool = False) -> str:
    """Write a difference in percent with its sign; `flip` turns a saving into a difference."""
    if value is None:
        return NOTHING
    text = f"{-value if flip else value:+.{digits}f} %".replace("-", "−")
    return text if any(digit in text for digit in "123456789") else text[1:]  # no sign before a zero


def plural(count: int, noun: str) -> str:
    """Write `1 picture`, `2 pictures`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def printable(text: str) -> str:
    """Write control characters and line breaks, which a file name may hold, as escapes."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda found: repr(found[0])[1:-1], text)


def _ours(report: Report, codecs: Iterable[str] | None = None) -> int:
    names = list(report["summary"] if codecs is None else codecs)
    return names.index(report["ours"]) if report["ours"] in names else -1


# ---- forms -----------------------------------------------------------------------------------------------


def as_text(table: Table) -> str:
    """Write a table in columns for a terminal."""
    lines = [[printable(cell) for cell in line] for line in (table.header, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def line(cells: list[str]) -> str:
        rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return "  ".join((cells[0].ljust(widths[0]), *rest))

    return "\n".join((table.title, *map(line, lines)))


def markdown(text: str) -> str:
    """Write text so that Markdown shows it as it is, on one line."""
    return re.sub(r"([\\`*_\[\]<>|~&])", r"\\\1", printable(text))


def markdown_code(text: str) -> str:
    """Write text as code, between more backticks than it has in a row."""
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    space = " " if len(fence) > 1 else ""
    return f"{fence}{space}{printable(text)}{space}{fence}"


def as_markdown(table: Table) -> str:
    """Write a table as a Markdown section with a pipe table."""

    def lines() -> Iterator[Sequence[str]]:
        yield [markdown(cell) for cell in table.header]
        yield ["---", *["---:"] * (len(table.header) - 1)]
        for index, row in enumerate(table.rows):
            mark = "**" if index == table.ours else ""
            yield [f"{mark}{markdown(cell)}{mark}" for cell in row]

    body = "\n".join(f"| {' | '.join(cells)} |" for cells in lines())
    return f"## {table.title}\n\n{table.note}\n\n{body}\n"
