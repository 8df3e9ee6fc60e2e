"""Pictures in and out: every mode and format, metadata byte for byte, and one-line errors."""

import io
import lzma
import random
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw, features

from neuralcodec.errors import DamagedFileError, NeuralCodecError, NeuralCodecWarning, UsageError
from neuralcodec.picture.alpha import pack_alpha, unpack_alpha
from neuralcodec.picture.reading import Picture, format_for, load, save, to_pil

RNG = np.random.default_rng(0)
RGB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY_ICC = RGB_ICC[:16] + b"GRAY" + RGB_ICC[20:]
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/">é</x:xmpmeta>'.encode()
H, W = 20, 30


def exif() -> bytes:
    """An EXIF block with orientation 6, and bytes at its end that no library would write."""
    block = Image.Exif()
    block[0x0112], block[0x010F] = 6, "Maker"
    return block.tobytes()[6:] + b"\0left by a camera\0"


EXIF = exif()
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")


@pytest.fixture(autouse=True)
def no_silent_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", NeuralCodecWarning)
        yield


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, dtype=np.uint8)


def file_of(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png(width: int, depth: int, colour: int, row: bytes, **chunks: bytes) -> bytes:
    """A PNG of one row, for the kinds that Pillow does not write."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, colour, 0, 0, 0))
    extra = b"".join(chunk(kind.encode(), data) for kind, data in chunks.items())
    data = chunk(b"IDAT", zlib.compress(b"\0" + row))
    return b"\x89PNG\r\n\x1a\n" + head + extra + data + chunk(b"IEND", b"")


def test_loads_no_torch() -> None:
    code = "import neuralcodec.picture.reading, sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"False\n"


def same(a: Picture, b: Picture) -> None:
    np.testing.assert_array_equal(a.pixels, b.pixels)
    assert (a.alpha is None) == (b.alpha is None)
    if a.alpha is not None and b.alpha is not None:
        np.testing.assert_array_equal(a.alpha, b.alpha)
    assert (a.icc, a.exif, a.xmp) == (b.icc, b.exif, b.xmp)


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
            with pytest.warns(NeuralCodecWarning, match="16-bit"):
                picture = load(source)
            assert picture.pixels[..., 0].tolist() == expected

    def test_16_bit_with_transparency(self) -> None:
        row = struct.pack(">3H", 0x1234, 0x1235, 0xFFFF)
        with pytest.warns(NeuralCodecWarning, match="16-bit"):
            grey = load(png(3, 16, 0, row, tRNS=row[:2]))
        with pytest.warns(NeuralCodecWarning, match="16-bit"):
            colour = load(png(1, 16, 2, row, tRNS=row))
        with pytest.warns(NeuralCodecWarning, match="16-bit"):
            grey_alpha = load(png(1, 16, 4, row[2:]))
        assert grey.alpha is not None and grey.alpha.tolist() == [[0, 255, 255]]
        assert colour.alpha is not None and colour.alpha.tolist() == [[0]]
        assert grey_alpha.pixels.tolist() == [[[0x12]]]
        assert grey_alpha.alpha is not None and grey_alpha.alpha.tolist() == [[255]]

    @pytest.mark.parametrize("values", [np.zeros((2, 2), np.float32), np.full((2, 2), 70000, np.int32)])
    def test_pixels_without_a_known_range(self, values: np.ndarray) -> None:
        for source in (Image.fromarray(values), file_of(Image.fromarray(values), "TIFF")):
            with pytest.raises(UsageError, match="convert"):
                load(source)

    def test_warnings_may_be_errors(self) -> None:
        with pytest.raises(NeuralCodecWarning, match="16-bit"):
            load(Image.new("I;16", (2, 2)))

    @pytest.mark.parametrize("icc", [None, b"no profile" * 20, RGB_ICC])
    def test_cmyk(self, icc: bytes | None) -> None:
        """A profile that is none, or is not for CMYK, is as good as no profile."""
        data = file_of(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", icc_profile=icc)
        with pytest.warns(NeuralCodecWarning, match="CMYK"):
            picture = load(data)
        assert picture.icc is None
        red, green, blue = picture.pixels[0, 0].tolist()
        assert red > 200 and green < 60 and blue < 60

    def test_cmyk_goes_through_its_profile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        green = Image.new("RGB", (8, 8), (0, 200, 0))
        monkeypatch.setattr(ImageCms, "profileToProfile", lambda *_, **__: green)
        data = file_of(Image.new("CMYK", (8, 8)), "TIFF", icc_profile=RGB_ICC)
        with pytest.warns(NeuralCodecWarning, match="through its ICC profile"):
            picture = load(data)
        assert picture.icc is None and picture.pixels[0, 0].tolist() == [0, 200, 0]

    def test_only_the_first_frame(self) -> None:
        frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "green", "blue")]
        for format in ("GIF", "PNG", "TIFF"):
            data = file_of(frames[0], format, save_all=True, append_images=frames[1:])
            with pytest.warns(NeuralCodecWarning, match="3 frames, only the first"):
                assert load(data).pixels[0, 0].tolist() == [255, 0, 0]


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
        elif format == "AVIF":  # keeps the orientation outside of EXIF
            assert Image.open(buffer).getexif()[0x0112] == 6
            assert back.pixels.shape[:2] == (H, W)
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
        with pytest.warns(NeuralCodecWarning, match="ICC profile was dropped"):
            assert load(file_of(Image.fromarray(noise(*shape)), icc_profile=icc)).icc is None

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


class TestSave:
    @pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
    @pytest.mark.parametrize("channels", [1, 2, 3, 4])
    def test_lossless(self, format: str, channels: int, tmp_path: Path) -> None:
        picture = load(noise(H, W, channels))
        save(picture, tmp_path / "out", format)
        back = load(tmp_path / "out")
        if format == "WEBP":
            back.pixels = back.pixels[..., : picture.pixels.shape[2]]
        same(picture, back)

    @pytest.mark.parametrize("format", ["ppm", "BMP", ".bmp", "pgm"])
    def test_plain_formats(self, format: str) -> None:
        for channels in (1, 3):
            picture, buffer = load(noise(H, W, channels)), io.BytesIO()
            save(picture, buffer, format)
            same(picture, load(buffer.getvalue()))
            picture.exif = EXIF
            with pytest.warns(NeuralCodecWarning, match="dropped: exif"):
                save(picture, buffer, format)

    def test_transparency_needs_a_format_for_it(self) -> None:
        for format in ("JPEG", "PPM", "BMP"):
            with pytest.raises(UsageError, match="use PNG"):
                save(load(noise(H, W, 4)), io.BytesIO(), format)

    def test_jpeg_is_good(self) -> None:
        array = np.repeat(np.arange(240, dtype=np.uint8)[:, None, None], 3, axis=2).repeat(16, axis=1)
        buffer = io.BytesIO()
        save(load(array), buffer, "jpg")
        assert np.abs(load(buffer.getvalue()).pixels.astype(int) - array).max() <= 3

    def test_format_for(self) -> None:
        assert [format_for(path) for path in ("a.png", "b.JPG", Path("c.tiff"), "d.x.webp", "e.avif")] == [
            "PNG",
            "JPEG",
            "TIFF",
            "WEBP",
            "AVIF",
        ]
        for path in ("a.xyz", "noextension", "a.nc"):
            with pytest.raises(UsageError, match=r"use one of \.png"):
                format_for(path)
        with pytest.raises(UsageError, match=r"\.xyz"):
            save(load(noise(H, W)), io.BytesIO(), "xyz")

    def test_failures_leave_no_file(self, tmp_path: Path) -> None:
        picture = load(noise(H, W, 3))
        with pytest.raises(NeuralCodecError, match=r"cannot write .*no/such"):
            save(picture, tmp_path / "no/such/place.png", "PNG")
        picture.exif = bytes(70000)
        with pytest.raises(NeuralCodecError, match="as JPEG: EXIF"):
            save(picture, tmp_path / "out.jpg", "JPEG")
        assert list(tmp_path.iterdir()) == []


def shape_with_soft_edge() -> np.ndarray:
    image = Image.new("L", (800, 600))
    ImageDraw.Draw(image).ellipse((100, 50, 700, 550), fill=255)
    return np.asarray(image.resize((200, 150), Image.Resampling.LANCZOS))


class TestAlpha:
    @pytest.mark.parametrize(
        ("alpha", "most"),
        [
            (np.full((1000, 1000), 255, np.uint8), 2),
            (np.zeros((1, 1), np.uint8), 2),
            (np.arange(256, dtype=np.uint8)[None].repeat(200, axis=0), 150),
            (np.arange(200, dtype=np.uint8)[:, None].repeat(256, axis=1), 150),
            (shape_with_soft_edge(), 1800),
            (noise(60, 50), 3020),
            (np.array([[0, 255]], np.uint8), 20),
        ],
    )
    def test_lossless_and_small(self, alpha: np.ndarray, most: int) -> None:
        data = pack_alpha(alpha)
        assert len(data) <= most
        height, width = alpha.shape
        back = unpack_alpha(data, width, height)
        assert back.dtype == np.uint8 and back.flags.writeable
        np.testing.assert_array_equal(back, alpha)

    def test_every_filter(self) -> None:
        """The layout of docs/format.md, undone pixel by pixel."""
        residual = noise(5, 7)
        filters: list[dict[str, int]] = [{"id": lzma.FILTER_LZMA2, "dict_size": 4096}]
        packed = lzma.compress(residual.tobytes(), lzma.FORMAT_RAW, filters=filters)
        for coding in range(4):
            plane = residual.astype(int)
            if coding & 2:
                for y in range(1, 5):
                    plane[y] += plane[y - 1]
            if coding & 1:
                for x in range(1, 7):
                    plane[:, x] += plane[:, x - 1]
            np.testing.assert_array_equal(unpack_alpha(bytes([coding]) + packed, 7, 5), plane % 256)

    def test_hostile_bytes(self) -> None:
        rng = random.Random(4)
        whole = pack_alpha(shape_with_soft_edge())
        for _ in range(300):
            data = bytearray(whole)
            data[rng.randrange(len(data))] = rng.randrange(256)
            data = data[: rng.randrange(len(data))] if rng.random() < 0.5 else data
            try:
                assert unpack_alpha(bytes(data), 200, 150).shape == (150, 200)
            except DamagedFileError as error:
                assert "\n" not in str(error)

    def test_what_does_not_fit_is_refused(self) -> None:
        data = pack_alpha(shape_with_soft_edge())
        wrong = [b"", b"\4", b"\4\1\1", b"\5\1", b"\0", b"\0\0", b"\xff", data + b"\0", data[:-1]]
        for bad in wrong:
            with pytest.raises(DamagedFileError, match="alpha plane is damaged"):
                unpack_alpha(bad, 200, 150)
        for width, height in ((200, 149), (200, 151), (1, 1)):
            with pytest.raises(DamagedFileError, match=f"{width}x{height}"):
                unpack_alpha(data, width, height)

    def test_a_bomb_does_not_expand(self) -> None:
        filters: list[dict[str, int]] = [{"id": lzma.FILTER_LZMA2, "preset": 0}]
        bomb = b"\0" + lzma.compress(bytes(2**26), lzma.FORMAT_RAW, filters=filters)
        with pytest.raises(DamagedFileError, match="10x10"):
            unpack_alpha(bomb, 10, 10)
