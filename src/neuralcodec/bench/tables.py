"""The tables of a benchmark, built once from its results and written as text, Markdown or HTML."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

from neuralcodec.bench.summary import METRICS, TARGETS, key_of

Report = dict[str, Any]
NOTHING = "–"  # not reached, not measured


class Table(NamedTuple):
    """Cells as they are shown. The first column names the row; `ours` is the row, or -1, to point out."""

    title: str
    note: str
    header: list[str]
    rows: list[list[str]]
    ours: int = -1


def all_tables(report: Report) -> list[Table]:
    """What belongs into a report, the means first."""
    tables = [mean_table(report), bd_rate_table(report)]
    if report["speed"] is not None:
        tables.append(speed_table(report))
    return tables + [image_table(report, target) for target in TARGETS]


def mean_table(report: Report) -> Table:
    """Bits per pixel at the target qualities, and what that saves."""
    reference = label(report, report["reference"])
    rows = []
    for codec, summary in report["summary"].items():
        cells = [label(report, codec)]
        for target in TARGETS:
            at = summary["at"][key_of(target)]
            cells += [number(at["bpp"], 3), percent(at["saving"], flip=True)]
        rows.append(cells)
    header = ["codec"]
    for target in TARGETS:
        header += [f"bpp at {key_of(target)}", f"against {reference}"]
    count = plural(len(report["compared"]), "picture")
    return Table(
        "Bits per pixel at the same MS-SSIM",
        f"Mean of {count}.",
        header,
        rows,
        _ours(report, report["summary"]),
    )


def bd_rate_table(report: Report) -> Table:
    """The average difference in bytes over the whole range, by each metric."""
    reference = label(report, report["reference"])
    rows = [
        [label(report, codec), *(percent(summary["bd_rate"][metric], digits=1) for metric in METRICS)]
        for codec, summary in report["summary"].items()
    ]
    header = ["codec", *METRICS.values()]
    note = f"Average difference in bytes from {reference} at equal quality; less is better."
    return Table("BD-rate", note, header, rows, _ours(report, report["summary"]))


def image_table(report: Report, target: float) -> Table:
    """The bytes that each picture takes at one quality."""
    codecs = list(report["summary"])
    sizes = {(m["image"], m["codec"]): m for m in report["matched"] if m["ms_ssim"] == target}
    rows = []
    for image in dict.fromkeys(name for name, _ in sizes):
        cells = [image, *(count(sizes[image, codec]["bytes"]) for codec in codecs)]
        rows.append([*cells, percent(sizes[image, report["ours"]]["saving"], flip=True)])
    reference = label(report, report["reference"])
    versus = f"{label(report, report['ours'])} against {reference}"
    header = ["picture", *(label(report, codec) for codec in codecs), versus]
    note = f"Between neighbouring settings of each codec; {NOTHING} where they do not reach that quality."
    return Table(f"Bytes of each picture at MS-SSIM {key_of(target)}", note, header, rows)


def speed_table(report: Report) -> Table:
    """How fast the codecs were in this run, and what memory they took."""
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


# ---- cells -----------------------------------------------------------------------------------------------


def label(report: Report, codec: str) -> str:
    """What a reader calls a codec."""
    return str(report["codecs"][codec]["label"])


def number(value: float | None, digits: int) -> str:
    """A decimal number."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def rate(value: float) -> str:
    """A speed, with two digits that count where it is low."""
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"


def count(value: float | None) -> str:
    """A whole number."""
    return NOTHING if value is None else f"{value:,.0f}"


def percent(value: float | None, *, digits: int = 0, flip: bool = False) -> str:
    """A difference in percent with its sign; `flip` makes one of a saving."""
    if value is None:
        return NOTHING
    text = f"{-value if flip else value:+.{digits}f} %".replace("-", "−")
    return text if any(digit in text for digit in "123456789") else text[1:]  # no sign before a zero


def plural(count: int, noun: str) -> str:
    """`1 picture`, `2 pictures`."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _ours(report: Report, codecs: Sequence[str] | dict[str, Any]) -> int:
    names = list(codecs)
    return names.index(report["ours"]) if report["ours"] in names else -1


# ---- forms -----------------------------------------------------------------------------------------------


def as_text(table: Table) -> str:
    """Columns for a terminal."""
    lines = [table.header, *table.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]

    def line(cells: list[str]) -> str:
        rest = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return "  ".join((cells[0].ljust(widths[0]), *rest))

    return "\n".join((table.title, *map(line, lines)))


def as_markdown(table: Table) -> str:
    """A section with a pipe table."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    rule = "|---|" + "---:|" * (len(table.header) - 1)
    rows = [[f"**{c}**" for c in row] if i == table.ours else row for i, row in enumerate(table.rows)]
    body = "\n".join((line(table.header), rule, *map(line, rows)))
    return f"## {table.title}\n\n{table.note}\n\n{body}\n"


def as_html(table: Table) -> str:
    """A table that scrolls by itself where it is wider than the page."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in table.header)
    body = []
    for index, row in enumerate(table.rows):
        cells = "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        mark = ' class="ours"' if index == table.ours else ""
        body.append(f'<tr{mark}><th scope="row">{escape(row[0])}</th>{cells}</tr>')
    rows = "\n".join(body)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table></div>'
