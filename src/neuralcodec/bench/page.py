"""The benchmark as one self-contained HTML page: pictures, curves, tables, and how they were made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from neuralcodec.bench import charts, tables, views
from neuralcodec.bench.tables import Headline, Report, label


def page(report: Report, shown: Sequence[dict[str, Any]]) -> str:
    """Build the document from the results, as `report.json` has them, and the views with their pictures."""
    environment = Environment(
        loader=PackageLoader("neuralcodec.bench", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawn, legend = charts.charts(report)
    headlines = tables.headlines(report)
    return environment.get_template("page.html").render(
        report=report,
        label=lambda codec: label(report, codec),
        tables=tables,
        headlines=headlines,
        bars=[(headline, bars(report, headline)) for headline in headlines],
        views=shown,
        view_title=view_title(report, shown),
        panels=lambda view: panels(report, view),
        charts=drawn,
        legend=legend,
        crop=views.CROP,
    )


class Bar(NamedTuple):
    """A codec's bytes at one quality, as a multiple of the reference's and a share of the longest bar."""

    codec: str
    relative: float
    share: float


def bars(report: Report, headline: Headline) -> list[Bar]:
    """Return the bars of the codecs that reach a quality, the longest first."""
    rates = {
        codec: summary["at"][headline.metric][headline.target]["bpp"]
        for codec, summary in report["summary"].items()
        if summary["pictures"] == len(report["compared"])
    }
    reached = {codec: rate for codec, rate in rates.items() if rate is not None}
    reference, largest = reached[report["reference"]], max(reached.values())
    ordered = sorted(reached.items(), key=lambda item: -item[1])
    return [Bar(codec, rate / reference, rate / largest) for codec, rate in ordered]


def view_title(report: Report, shown: Sequence[dict[str, Any]]) -> str:
    """Write the MS-SSIM of the pictures: the target if all are within .005 of it, else the range."""
    values = [view[which]["ms_ssim"] for view in shown for which in ("ours", "reference")]
    if all(abs(value - views.TARGET) <= views.NEAR for value in values):
        return f"MS-SSIM {views.TARGET:.2f}"
    return f"MS-SSIM, {min(values):.3f} to {max(values):.3f}"


class Panel(NamedTuple):
    """One version of a picture: its key, its codec, how it compares with ours, and its measures."""

    kind: str
    codec: str
    what: str
    facts: dict[str, Any]

    @property
    def title(self) -> str:
        """The codec, and where it is given how the version compares with ours."""
        return f"{self.codec}, {self.what}" if self.what else self.codec


def panels(report: Report, view: dict[str, Any]) -> list[Panel]:
    """List the versions of a picture to show: the original, equal quality, equal bytes."""
    reference = label(report, report["reference"])
    others = view["same_bytes"].items()
    return [
        Panel("original", "Original", "", view["original"]),
        Panel("reference", reference, "same MS-SSIM" if others else "", view["reference"]),
        Panel("ours", label(report, report["ours"]), "", view["ours"]),
        *(Panel(codec, label(report, codec), _size(facts, view["ours"]), facts) for codec, facts in others),
    ]


def _size(facts: dict[str, Any], ours: dict[str, Any]) -> str:
    """Name the size of a file that should be as small as ours: not every codec can make it so small."""
    ratio = facts["bytes"] / ours["bytes"]
    if abs(ratio - 1) <= views.SIMILAR:
        return "same bytes"
    return "fewest bytes" if ratio > 1 else "most bytes"
