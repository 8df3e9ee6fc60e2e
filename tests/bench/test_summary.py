"""Savings and BD-rates of made-up codecs whose answers are known."""

import pytest

from neuralcodec.bench.summary import (
    complete_images,
    match_images,
    reference_of,
    saving,
    setting_near,
    summarise,
    versus,
)
from neuralcodec.errors import NeuralCodecError

SETTINGS = {"jpeg": (1, 2, 3, 4), "ours": (1, 2, 3, 4)}
LADDER = {1: 0.5, 2: 0.9, 3: 0.99, 4: 0.999}  # MS-SSIM, 10 dB a step from 2 on


def points(images: dict[str, float], factor: float = 0.4) -> list[dict]:
    """Every setting doubles the bytes; ours takes `factor` of JPEG's, and an image scales both."""
    return [
        {
            "image": image,
            "codec": codec,
            "setting": setting,
            "bytes": 1000 * scale * share * 2**setting,
            "bpp": 0.1 * scale * share * 2**setting,
            "ms_ssim": quality,
            "psnr": 20 + 5 * setting,
            "ssimulacra2": None,
        }
        for image, scale in images.items()
        for codec, share in (("jpeg", 1), ("ours", factor))
        for setting, quality in LADDER.items()
    ]


def test_a_codec_of_40_percent() -> None:
    summary = summarise(points({"a": 1, "b": 3}), SETTINGS, "jpeg")
    assert summary["ours"]["bd_rate"]["ms_ssim"] == pytest.approx(-60)
    assert summary["ours"]["bd_rate"]["psnr"] == pytest.approx(-60)
    assert summary["ours"]["bd_rate"]["ssimulacra2_30_60"] is None
    assert summary["ours"]["at"]["ssimulacra2"]["70"] == {"bpp": None, "saving": None}
    assert summary["jpeg"]["at"]["ms_ssim"]["0.90"]["bpp"] == pytest.approx(0.8)  # 0.4, and thrice that
    for at in summary["ours"]["at"]["ms_ssim"].values():
        assert at["saving"] == pytest.approx(60)


def test_bd_rates_over_two_ranges_of_scores() -> None:
    measured = points({"a": 1})
    for point in measured:
        point["ssimulacra2"] = {1: 20, 2: 45, 3: 70, 4: 90}[point["setting"]]
    rates = summarise(measured, SETTINGS, "jpeg")["ours"]["bd_rate"]
    assert rates["ssimulacra2_30_60"] == pytest.approx(-60, abs=0.2)
    assert rates["ssimulacra2_60_88"] == pytest.approx(-60)
    few = [point for point in measured if point["codec"] == "jpeg" or point["setting"] < 4]  # 60 to 70 only
    rates = summarise(few, {"jpeg": (1, 2, 3, 4), "ours": (1, 2, 3)}, "jpeg")["ours"]["bd_rate"]
    assert rates["ssimulacra2_30_60"] == pytest.approx(-60, abs=0.2)
    assert rates["ssimulacra2_60_88"] is None


def test_ours_against_each_of_the_others() -> None:
    measured = points({"a": 1})
    other = [{**p, "codec": "other"} for p in points({"a": 1}, 0.2) if p["codec"] == "ours"]
    summary = summarise(measured + other, SETTINGS | {"other": (1, 2, 3, 4)}, "jpeg")
    rates = {codec: values["ms_ssim"] for codec, values in versus(summary, "ours").items()}
    assert rates == pytest.approx({"jpeg": -60, "other": 100})  # twice the bytes of the better one


def test_a_slow_codec_on_a_part_of_the_pictures() -> None:
    measured = points({"a": 1, "b": 3})
    slow = [{**p, "codec": "slow"} for p in points({"a": 1}, 0.3) if p["codec"] == "ours"]
    summary = summarise(measured + slow, SETTINGS | {"slow": (1, 2, 3, 4)}, "jpeg", ["slow"])
    assert [summary[codec]["pictures"] for codec in ("jpeg", "ours", "slow")] == [2, 2, 1]
    assert summary["slow"]["bd_rate"]["ms_ssim"] == pytest.approx(-70)  # against the reference on that part
    assert summary["ours"]["bd_rate"]["ms_ssim"] == pytest.approx(-60)


def test_between_two_settings_log_bytes_are_linear_in_decibels() -> None:
    matched = match_images(points({"a": 1}), ["jpeg", "ours"], "jpeg")
    by_target = {m["target"]: m for m in matched if (m["codec"], m["metric"]) == ("jpeg", "ms_ssim")}
    share = 0.30103  # of the 10 dB from .90 to .99, .95 is at 3.01
    assert by_target[0.90]["bytes"] == 4000
    assert by_target[0.95]["bytes"] == pytest.approx(4000 * 2**share, abs=1)
    own = [m["saving"] for m in matched if (m["codec"], m["metric"]) == ("ours", "ms_ssim")]
    assert own == pytest.approx([60] * 4)


def test_a_quality_out_of_reach_has_no_bytes() -> None:
    few = [p for p in points({"a": 1}) if p["codec"] == "jpeg" or p["setting"] < 3]
    matched = match_images(few, ["jpeg", "ours"], "jpeg")
    own = [m["target"] for m in matched if (m["codec"], m["metric"]) == ("ours", "ms_ssim")]
    assert own == [0.90]


def test_means_are_of_complete_pictures_only() -> None:
    measured = points({"a": 1, "b": 3})
    without = [p for p in measured if (p["image"], p["codec"], p["setting"]) != ("b", "ours", 4)]
    assert complete_images(measured, SETTINGS) == {"a", "b"}
    assert complete_images(without, SETTINGS) == {"a"}
    assert summarise(without, SETTINGS, "jpeg")["jpeg"]["at"]["ms_ssim"]["0.90"]["bpp"] == pytest.approx(0.4)


def test_nothing_complete_is_no_error() -> None:
    summary = summarise([], SETTINGS, "jpeg")
    assert summary["ours"]["curve"] == []
    assert summary["ours"]["bd_rate"]["psnr"] is None
    assert summary["ours"]["at"]["ms_ssim"]["0.95"] == {"bpp": None, "saving": None}


def test_small_helpers() -> None:
    assert reference_of(["webp", "jpeg", "ours"], "ours") == "jpeg"
    assert reference_of(["webp", "ours"], "ours") == "webp"
    assert reference_of(["ours", "ours-gru"], "ours") == "ours-gru"
    with pytest.raises(NeuralCodecError, match="nothing to compare with"):
        reference_of(["ours"], "ours")
    assert saving(30, 40) == 25
    assert saving(50, 40) == -25
    assert saving(None, 40) is None


@pytest.mark.parametrize(("target", "setting"), [(0.3, 10), (0.9, 20), (0.95, 23), (0.99, 30), (0.9999, 40)])
def test_setting_near(target: float, setting: int) -> None:
    curve = [{"setting": 10 * s, "ms_ssim": quality} for s, quality in LADDER.items()]
    assert setting_near(curve[::-1], target) == setting
