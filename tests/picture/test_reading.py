"""Pictures in and out: every mode and format, metadata byte for byte, and one-line errors."""

import io
import random
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from neuralcodec.errors import DamagedFileError, NeuralCodecError, UsageError
from neuralcodec.picture.picture import Picture, to_pil
from neuralcodec.picture.reading import load
from neuralcodec.picture.writing import save
from picture.samples import EXIF, GREY_ICC, RGB_ICC, XMP, H, W, file_of, needs_avif, noise, noted, png, same


def test_loads_no_torch() -> None:
    code = "import neuralcodec.picture.reading, sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"


class TestModes:
    @pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)])
    def test_plain_modes_go_round(self, mode: str, channels: int) -> None:
        array = noise(H, W, channels)
        image = Image.fromarray(array[..., 0] if channels == 1 else array)
        assert image.mode == mode
        for source in (image, array, file_of(image), io.BytesIO(file_of(image))):
            picture = load(source)
            assert picture.pixels.shape == (H, W, 1 if channels < 3 else 3)
            assert (picture.alpha is not None) == (channels in (2, 4))
            assert (to_pil(picture).mode, to_pil(picture).tobytes()) == (mode, image.tobytes())

    def test_arrays(self) -> None:
        array = noise(H, W)
        picture = load(array)
        array[:] = 0  # the picture has its own copy
        assert picture.pixels.any() and picture.pixels.shape == (H, W, 1)
        np.testing.assert_array_equal(load(picture.pixels[:, ::-2]).pixels, picture.pixels[:, ::-2])
        for wrong in (noise(H), noise(H, W, 5), noise(H, W, 3).astype(np.float32), noise(2, H, W, 3)):
            with pytest.raises(UsageError, match=rf"{wrong.dtype} \({H if wrong.ndim < 4 else 2}"):
                load(wrong)
        for shape in ((0, 5, 3), (5, 0), (5, 5, 0)):
            with pytest.raises(UsageError):
                load(noise(*shape))

    def test_opaque_alpha_is_kept(self) -> None:
        picture = load(Image.new("RGBA", (3, 2), (1, 2, 3, 255)))
        assert picture.alpha is not None and (picture.alpha == 255).all()

    def test_bilevel_is_grey(self) -> None:
        assert load(Image.fromarray(noise(H, W) > 99)).pixels.shape == (H, W, 1)

    def test_palette(self) -> None:
        image = Image.fromarray(noise(H, W, 3)).quantize(16)
        picture = load(file_of(image))
        np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
        assert picture.alpha is None

    @pytest.mark.parametrize(
        ("trns", "alpha"), [(b"\xff\x80\0", [255, 128, 0, 255]), (b"\xff\0", [255, 0, 255, 255])]
    )
    def test_palette_with_transparency(self, trns: bytes, alpha: list[int]) -> None:
        picture = load(png(4, 2, 3, bytes([0b00011011]), PLTE=bytes(range(12)), tRNS=trns))
        assert picture.pixels.ravel().tolist() == list(range(12))
        assert picture.alpha is not None and picture.alpha.ravel().tolist() == alpha

    @pytest.mark.parametrize(
        ("data", "alpha"),
        [
            (png(4, 1, 0, bytes([0b01010000]), tRNS=b"\0\1"), [255, 0, 255, 0]),
            (png(4, 2, 0, bytes([0b00011011]), tRNS=b"\0\1"), [255, 0, 255, 255]),
            (png(4, 4, 0, b"\x01\x2f", tRNS=b"\0\2"), [255, 255, 0, 255]),
            (png(2, 8, 0, b"\x10\x20", tRNS=b"\0\x20"), [255, 0]),
            (png(2, 8, 2, b"\1\2\3\1\2\4", tRNS=b"\0\1\0\2\0\3"), [0, 255]),
        ],
    )
    def test_one_transparent_colour(self, data: bytes, alpha: list[int]) -> None:
        picture = load(data)
        assert picture.alpha is not None and picture.alpha.ravel().tolist() == alpha

    def test_premultiplied(self) -> None:
        image = Image.new("RGBA", (2, 2), (200, 100, 50, 255))
        same(load(image.convert("RGBa")), load(image))

    @pytest.mark.parametrize("mode", ["YCbCr", "HSV", "LAB", "RGBX"])
    def test_other_colour_spaces_become_rgb(self, mode: str) -> None:
        image = Image.new(mode, (2, 2), (128, 128, 128, 0)[: len(Image.new(mode, (1, 1)).getbands())])
        assert load(image).pixels.shape == (2, 2, 3)

    def test_16_bit_grey(self) -> None:
        values = np.array([[0, 128, 129, 32767, 32768, 65406, 65407, 65535]], np.uint16)
        expected = np.round(values / 257).astype(int).tolist()
        deep = [file_of(Image.fromarray(values)), file_of(Image.fromarray(values), "TIFF")]
        pgm = b"P5 8 1 65535\n" + values.astype(">u2").tobytes()
        for source in (*deep, pgm, Image.fromarray(values), Image.fromarray(values.astype(np.int32))):
            picture = noted(load(source), "16-bit")
            assert picture.pixels[..., 0].tolist() == expected

    def test_16_bit_with_transparency(self) -> None:
        row = struct.pack(">3H", 0x1234, 0x1235, 0xFFFF)
        grey = noted(load(png(3, 16, 0, row, tRNS=row[:2])), "16-bit")
        colour = noted(load(png(1, 16, 2, row, tRNS=row)), "16-bit")
        grey_alpha = noted(load(png(1, 16, 4, row[2:])), "16-bit")
        assert grey.alpha is not None and grey.alpha.tolist() == [[0, 255, 255]]
        assert colour.alpha is not None and colour.alpha.tolist() == [[0]]
        assert grey_alpha.pixels.tolist() == [[[0x12]]]
        assert grey_alpha.alpha is not None and grey_alpha.alpha.tolist() == [[255]]

    @pytest.mark.parametrize("values", [np.zeros((2, 2), np.float32), np.full((2, 2), 70000, np.int32)])
    def test_pixels_without_a_known_range(self, values: np.ndarray) -> None:
        for source in (Image.fromarray(values), file_of(Image.fromarray(values), "TIFF")):
            with pytest.raises(UsageError, match="convert"):
                load(source)

    @pytest.mark.parametrize("icc", [None, b"no profile" * 20, RGB_ICC])
    def test_cmyk(self, icc: bytes | None) -> None:
        """A profile that is none, or is not for CMYK, is as good as no profile."""
        data = file_of(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", icc_profile=icc)
        picture = noted(load(data), "CMYK")
        assert picture.icc is None
        red, green, blue = picture.pixels[0, 0].tolist()
        assert red > 200 and green < 60 and blue < 60

    def test_cmyk_goes_through_its_profile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        green = Image.new("RGB", (8, 8), (0, 200, 0))
        monkeypatch.setattr(ImageCms, "profileToProfile", lambda *_, **__: green)
        data = file_of(Image.new("CMYK", (8, 8)), "TIFF", icc_profile=RGB_ICC)
        picture = noted(load(data), "through its ICC profile")
        assert picture.icc is None and picture.pixels[0, 0].tolist() == [0, 200, 0]

    def test_only_the_first_frame(self) -> None:
        frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue")]
        for format in ("GIF", "PNG", "TIFF"):
            data = file_of(frames[0], format, save_all=True, append_images=frames[1:])
            assert noted(load(data), "3 frames, only the first").pixels[0, 0].tolist() == [255, 0, 0]


class TestMetadata:
    @pytest.mark.parametrize(
        "format", ["PNG", "JPEG", "WEBP", "TIFF", pytest.param("AVIF", marks=needs_avif)]
    )
    @pytest.mark.parametrize("grey", [False, True])
    def test_saved_and_loaded(self, format: str, grey: bool) -> None:
        stays_grey = format not in ("WEBP", "AVIF")  # these have no grey mode in Pillow
        icc = GREY_ICC if grey and stays_grey else RGB_ICC
        picture = Picture(noise(H, W, 1 if grey else 3), None, icc, EXIF, XMP)
        buffer = io.BytesIO()
        save(picture, buffer, format)
        back = load(buffer.getvalue())
        assert (back.icc, back.xmp) == (icc, XMP)
        if format == "TIFF":  # keeps EXIF as tags, which Pillow applies and rewrites
            assert back.pixels.shape[:2] == (W, H)
            assert back.exif is not None and b"Maker" in back.exif
        elif format == "AVIF":  # keeps the orientation outside of EXIF: the pixels are turned instead
            assert back.pixels.shape[:2] == (W, H) and back.exif is not None
            assert b"left by a camera" in back.exif and 0x0112 not in Image.open(buffer).getexif()
        else:
            assert back.exif == EXIF
            assert back.pixels.shape == (H, W, 1 if grey and stays_grey else 3)

    def test_pixels_are_not_rotated(self) -> None:
        array = noise(H, W, 3)
        picture = load(file_of(Image.fromarray(array), exif=b"Exif\0\0" + EXIF))
        np.testing.assert_array_equal(picture.pixels, array)
        assert picture.exif == EXIF

    def test_pillow_finds_it_where_it_looks(self) -> None:
        image = to_pil(Picture(noise(H, W, 3), None, RGB_ICC, EXIF, XMP))
        assert image.info == {"icc_profile": RGB_ICC, "exif": b"Exif\0\0" + EXIF, "xmp": XMP}
        assert image.getexif()[0x0112] == 6

    @pytest.mark.parametrize(("shape", "icc"), [((4, 4), RGB_ICC), ((4, 4, 3), GREY_ICC), ((4, 4, 3), b"?")])
    def test_a_profile_that_does_not_fit_is_dropped(self, shape: tuple[int, ...], icc: bytes) -> None:
        data = file_of(Image.fromarray(noise(*shape)), icc_profile=icc)
        assert noted(load(data), "ICC profile was dropped").icc is None

    def test_nothing_is_made_up(self) -> None:
        for format in ("PNG", "JPEG", "WEBP", "TIFF", "PPM", "BMP"):
            picture = load(file_of(Image.fromarray(noise(H, W, 3)), format))
            assert (picture.alpha, picture.icc, picture.exif, picture.xmp) == (None, None, None, None)


class TestErrors:
    def test_paths(self, tmp_path: Path) -> None:
        for path, word in ((tmp_path / "no.png", "No such file"), (tmp_path, "directory"), ("a\0b", "null")):
            with pytest.raises(UsageError, match=word) as caught:
                load(path)
            assert str(path) in str(caught.value)

    def test_what_is_no_picture(self, tmp_path: Path) -> None:
        path = tmp_path / "photo.png"
        for data in (b"", b"x", b"hello, world" * 99, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"):
            path.write_bytes(data)
            with pytest.raises(DamagedFileError, match=r"cannot read .*photo\.png: "):
                load(path)
        with pytest.raises(UsageError, match="float"):
            load(1.5)  # type: ignore[arg-type]

    def test_the_format_is_sniffed(self, tmp_path: Path) -> None:
        path = tmp_path / "really_a_jpeg.png"
        path.write_bytes(file_of(Image.fromarray(noise(H, W, 3)), "JPEG"))
        assert load(str(path)).pixels.shape == (H, W, 3)

    @pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
    def test_damage_raises_nothing_else(self, format: str) -> None:
        rng = random.Random(3)
        whole = file_of(Image.fromarray(noise(H, W, 3)), format, exif=b"Exif\0\0" + EXIF)
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(rng.randrange(4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            data = data[: rng.randrange(len(data))] if rng.random() < 0.5 else data
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    load(bytes(data))
                except NeuralCodecError as error:
                    assert "\n" not in str(error)

    def test_truncated(self) -> None:
        for format in ("PNG", "JPEG", "WEBP", "BMP"):
            data = file_of(Image.fromarray(noise(H, W, 3)), format)
            with pytest.raises(DamagedFileError, match="cannot read the picture: "):
                load(data[: len(data) // 2])

    def test_too_many_pixels(self) -> None:
        data = file_of(Image.fromarray(noise(H, W, 3)))
        for source in (data, Image.open(io.BytesIO(data)), noise(H, W, 3)):
            with pytest.raises(DamagedFileError, match=f"{W}x{H} pixels, the limit is {W * H - 1}"):
                load(source, max_pixels=W * H - 1)
        with pytest.raises(DamagedFileError, match="1x40"):  # whose latent is 16 pixels wide
            load(noise(40, 1, 3), max_pixels=639)
        claim = png(65535, 8, 2, b"").replace(struct.pack(">II", 65535, 1), struct.pack(">II", 65535, 65535))
        fixed = claim[:29] + struct.pack(">I", zlib.crc32(claim[12:29])) + claim[33:]
        with pytest.raises(DamagedFileError, match="65535x65535"):
            load(fixed)

    def test_only_our_limit_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            load(file_of(Image.fromarray(noise(H, W, 3))))
        assert Image.MAX_IMAGE_PIXELS == 10
