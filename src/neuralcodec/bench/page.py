"""The benchmark as one HTML page that needs nothing else: pictures, curves, tables, how they were made."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from neuralcodec.bench import charts, figures, tables
from neuralcodec.bench.summary import METRICS, key_of
from neuralcodec.bench.tables import Report, count, label, percent, plural
from neuralcodec.bench.views import CROP

HEADLINE = 0.95


def page(report: Report, views: Sequence[dict[str, Any]]) -> str:
    """The whole document, from the results as `report.json` has them and the views with their pictures."""
    files = resources.files("neuralcodec.bench")
    sheet, drawn, script = (
        files.joinpath(name).read_text("utf-8") for name in ("page.css", "charts.css", "page.js")
    )
    sections = (header(report), pictures(report, views), curves(report), numbers(report), method(report))
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',  # else the browser asks a server for one
            f"<title>{escape(title(report))}</title>\n<style>\n{drawn}{sheet}</style>\n</head>\n<body>\n<main>",
            *sections,
            f"</main>\n<script>\n{script}</script>\n</body>\n</html>\n",
        )
    )


# ---- the numbers first -----------------------------------------------------------------------------------


def title(report: Report) -> str:
    """The result in one sentence."""
    return "".join(_headline(report))


def _headline(report: Report) -> tuple[str, str, str]:
    """The sentence in three parts, the middle one to be seen first."""
    ours, reference = label(report, report["ours"]), label(report, report["reference"])
    value = report["summary"][report["ours"]]["at"][key_of(HEADLINE)]["saving"]
    if value is None:
        return (f"{ours} and {reference}, ", plural(len(report["images"]), "picture"), "")
    share = f"{abs(value):.0f} % {'fewer' if value >= 0 else 'more'} bytes"
    return ("", share, f" than {reference} at the same MS-SSIM")


def header(report: Report) -> str:
    """Headline, bars of relative size, BD-rates."""
    before, number, after = (escape(part) for part in _headline(report))
    reference = label(report, report["reference"])
    at = {codec: summary["at"][key_of(HEADLINE)] for codec, summary in report["summary"].items()}
    ours, theirs = at[report["ours"]]["bpp"], at[report["reference"]]["bpp"]
    lead = (
        f"{label(report, report['ours'])} against {reference} on {plural(len(report['compared']), 'picture')}"
    )
    if ours is not None and theirs is not None:
        lead += f": {ours:.3f} bits per pixel instead of {theirs:.3f} at MS-SSIM {HEADLINE:.2f}"
    lead = escape(lead).replace("MS-SSIM", '<span class="one">MS-SSIM</span>')
    bd_rate = report["summary"][report["ours"]]["bd_rate"]
    figures = "".join(
        f"<div><dt>BD-rate, {escape(name)}</dt><dd>{percent(bd_rate[metric])}</dd></div>"
        for metric, name in METRICS.items()
        if bd_rate[metric] is not None
    )
    return f"""<p class="kicker">neuralcodec benchmark · {escape(report["created"][:10])}</p>
<h1>{before}<em>{number}</em>{after}</h1>
<p class="lead">{lead}. Every size is that of a file,
every score that of the decoded 8-bit picture.</p>
<div class="hero">
<div><dl class="bars">
{_bars(report, {codec: values["bpp"] for codec, values in at.items()})}
</dl><p class="caption">Bytes at MS-SSIM {HEADLINE:.2f}, {escape(reference)} = 100.</p></div>
<div><dl class="figures">{figures}</dl>
<p class="caption">Bytes compared with {escape(reference)} at equal quality, averaged over all qualities.
</p></div>
</div>"""


def _bars(report: Report, bpp: dict[str, float | None]) -> str:
    reference = bpp[report["reference"]]
    if reference is None:
        return ""
    relative = {codec: rate / reference for codec, rate in bpp.items() if rate is not None}
    largest = max(relative.values())
    rows = []
    for codec, share in sorted(relative.items(), key=lambda item: -item[1]):
        mark = ' class="ours"' if codec == report["ours"] else ""
        rows.append(
            f"<dt{mark}>{escape(label(report, codec))}</dt>"
            f'<dd{mark}><i style="--share:{share / largest:.4f}"></i><span>{100 * share:.0f}</span></dd>'
        )
    return "\n".join(rows)


# ---- the pictures ----------------------------------------------------------------------------------------


def pictures(report: Report, views: Sequence[dict[str, Any]]) -> str:
    """The triptychs with their sliders and crops."""
    if not views:
        return ""
    ours, reference = label(report, report["ours"]), label(report, report["reference"])
    shown = "" if len(views) == len(report["images"]) else f" The first {len(views)} are shown."
    return f"""<h2>Look for yourself</h2>
<p class="soft">Each picture as it was, as {escape(reference)} and as {escape(ours)}, both at about 0.9
MS-SSIM, where the compression can be seen. Drag across the large picture to compare; the squares are
magnified where the two differ most.{shown}</p>
{"".join(_view(report, view) for view in views)}"""


def _view(report: Report, view: dict[str, Any]) -> str:
    ours, reference = escape(label(report, report["ours"])), escape(label(report, report["reference"]))
    name, size = escape(view["image"]), f'width="{view["width"]}" height="{view["height"]}"'
    panels = {
        "original": ("Original", f"<span>{count(view['original']['bytes'])} bytes</span>"),
        "reference": (reference, _cost(view["reference"])),
        "ours": (ours, _cost(view["ours"])),
    }
    strip = "".join(
        f'<figure class="{kind}"><img data-is="{kind}" {size} alt="{name}: {title}"'
        f' src="{view["pictures"][kind]}"><figcaption><b>{title}</b>{text}</figcaption></figure>'
        for kind, (title, text) in panels.items()
    )
    names = "".join(f"<b>{title}</b>" for title, _ in panels.values())
    crops = "".join(
        f'<img src="{source}" alt="{name}: {title}, magnified" width="{CROP}" height="{CROP}">'
        for sources in view["crop_pictures"]
        for source, (title, _) in zip(sources, panels.values(), strict=True)
    )
    tall = " tall" if view["height"] > view["width"] else ""
    return f"""<article class="view">
<header><h3>{name}</h3><span>{view["width"]} × {view["height"]} · {_saved(view, reference)}</span></header>
<div class="strip">{strip}</div>
<div class="detail{tall}">
<div class="compare" hidden>
<img data-of="ours" {size} alt=""><img class="above" data-of="reference" {size} alt="">
<span class="side first">{reference}</span><span class="side second">{ours}</span>
<span class="grip">◂▸</span><input type="range" min="0" max="100" step="0.1" value="50"
aria-label="{name}: {reference} to the left, {ours} to the right"></div>
<div class="crops">{names}{crops}</div>
</div>
</article>
"""


def _cost(facts: dict[str, Any]) -> str:
    return f"<span>{count(facts['bytes'])} bytes · MS-SSIM {facts['ms_ssim']:.3f}</span>"


def _saved(view: dict[str, Any], reference: str) -> str:
    if view["saving"] is None:
        return f"no {reference} setting has the same MS-SSIM"
    more = "smaller" if view["saving"] >= 0 else "larger"
    needed = count(view["reference"]["bytes_at_equal_ms_ssim"])
    return f"{abs(view['saving']):.0f} % {more} than {reference} at the same MS-SSIM ({needed} bytes)"


# ---- curves and tables -----------------------------------------------------------------------------------


def curves(report: Report) -> str:
    """One chart for each metric, with a legend for all."""
    panels = figures.panels(report)
    if not panels:
        return ""
    legend = "".join(charts.key(line) for line in panels[0].lines)
    blocks = "".join(f"<figure><h3>{panel.name}</h3>{panel.svg}</figure>" for panel in panels)
    return f"""<h2>Quality over size</h2>
<p class="soft">Mean of the pictures at each setting. Further left is smaller, further up is better.</p>
<ul class="legend">{legend}</ul>
<div class="charts{" three" if len(panels) == 3 else ""}">{blocks}</div>"""


def numbers(report: Report) -> str:
    """All tables; those of single pictures fold."""
    blocks = []
    for table in tables.all_tables(report):
        body = f'<p class="note">{escape(table.note)}</p>{tables.as_html(table)}'
        if table.header[0] == "picture":
            state = " open" if table.title.endswith(key_of(HEADLINE)) else ""
            blocks.append(
                f"<details{state}><summary><h3>{escape(table.title)}</h3></summary>{body}</details>"
            )
        else:
            blocks.append(f'<div class="block"><h3>{escape(table.title)}</h3>{body}</div>')
    return "<h2>The numbers</h2>\n" + "\n".join(blocks)


# ---- how it was measured ---------------------------------------------------------------------------------


def method(report: Report) -> str:
    """What would be needed to repeat it, and what went wrong."""
    codecs = "".join(
        f"<tr><th>{escape(codec['label'])}</th><td>{escape(codec['version'])}</td>"
        f"<td>{escape(', '.join(map(str, codec['settings'])) or 'timed only')}</td></tr>"
        for codec in report["codecs"].values()
    )
    machine = ", ".join(f"{name} {value}" for name, value in report["environment"].items())
    sources = "".join(
        f"<li>{chr(ord('a') + index)}: {escape(curve['source'])}</li>"
        for index, curve in enumerate(report["published"])
    )
    published = f"<h3>Published curves</h3><ul>{sources}</ul>" if sources else ""
    items = "".join(
        f"<li><b>{escape(problem['subject'])}</b>: {escape(problem['message'])}</li>"
        for problem in report["problems"]
    )
    problems = f'<h3>Not measured</h3><ul class="problems">{items}</ul>' if items else ""
    return f"""<h2>How it was measured</h2>
{problems}
<p>Every picture goes through every codec at every setting into a file, which is read back and decoded to
8 bits per channel. MS-SSIM is that of Wang et al. 2003 on RGB, in charts as −10 log<sub>10</sub>(1 − MS-SSIM)
dB. Bytes at a given MS-SSIM lie between those of neighbouring settings, with the logarithm of the size
interpolated over dB; nothing is extrapolated. A mean curve has the mean bits per pixel and the mean MS-SSIM
of the pictures at each setting. BD-rate is the integral between two such curves, interpolated by PCHIP, over
the qualities that both reach.</p>
<p>In the strips, JPEG is the file itself where it is no wider than the page shows it, and the others are WebP
of high quality, which hides nothing that can be seen at these rates; the magnified squares are exact.</p>
<div class="scroll"><table class="method">
<thead><tr><th>codec</th><th>version</th><th>settings</th></tr></thead>
<tbody>{codecs}</tbody></table></div>
{published}
<p class="note"><code>{escape(report["command"])}</code><br>{escape(machine)}</p>"""
