"""Pillow reads and writes `.nc` once this module is imported.

    import neuralcodec.pillow_plugin
    from PIL import Image

    Image.open("photo.nc").save("photo.png")
    Image.open("photo.png").save("photo.nc", quality=60)

Opening reads the header and the metadata alone: size, mode and `info` are there without torch. The first
access to the pixels reads and decodes them. As with Pillow's own formats, damage shows there, as an OSError;
`verify` looks for it without decoding. With Pillow's `ImageFile.LOAD_TRUNCATED_IMAGES`, what is left is
decoded instead, with a `DamageWarning`. `REALISM` of this module, 0 to 1, is that of `neuralcodec.decode`.
Save options are `quality` (0 to 100, kept to two decimals), `effort` (1, the default, to 9), `denoise`,
`model`, `icc_profile`, `exif` and `xmp`; metadata not named are taken from the image's `info`.
"""

from __future__ import annotations

from typing import IO, Any

from PIL import Image, ImageFile

from neuralcodec.errors import DamagedFileError, DamageWarning, warn
from neuralcodec.format import container
from neuralcodec.format.header import MAGIC
from neuralcodec.options import DEFAULT_EFFORT, DEFAULT_MODEL, REDUCES

FORMAT = "NC"
MIME = "image/x-neuralcodec"
#: Of pictures that are decoded from now on.
REALISM = 0.0


def _accept(prefix: bytes) -> bool:
    # NetCDF files are also called `.nc`; they start otherwise.
    return prefix.startswith(MAGIC)


class NcImageFile(ImageFile.ImageFile):
    """An opened `.nc` file."""

    format = FORMAT
    format_description = "neuralcodec learned image"
    is_animated = False
    n_frames = 1

    def _open(self) -> None:
        assert self.fp is not None
        try:
            outline = container.read_outline(self.fp)
        except DamagedFileError as error:
            raise SyntaxError(str(error)) from None  # Pillow's word for: not a file I can open
        header, self._reduce = outline.header, 1
        self._size = header.width, header.height
        self._mode = ("L" if header.grey else "RGB") + ("A" if header.alpha else "")
        self.info["quality"] = header.quality
        for name, value in (("icc_profile", outline.icc), ("xmp", outline.xmp)):
            if value:
                self.info[name] = value
        if outline.exif:
            self.info["exif"] = b"Exif\0\0" + outline.exif
        # Never read by Pillow: it says that pixels are to come, and in which form.
        self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Decode a smaller picture of at least `size` when the pixels are asked for, as `thumbnail` wants it.

        Returns:
            The mode, and the box of all of it in the smaller pixels; None where the picture stays as it is.
        """
        if not self.tile or size is None:
            return None
        width, height = self.size
        fits = [n for n in REDUCES if width // n >= size[0] and height // n >= size[1]]
        if max(fits, default=1) == 1 or self._reduce > 1:
            return None
        self._reduce = fits[-1]
        self._size = -(-width // self._reduce), -(-height // self._reduce)
        self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]
        return self.mode, (0, 0, width / self._reduce, height / self._reduce)

    def load(self) -> Any:
        """Decode, at the first access to the pixels.

        Raises:
            OSError: the file is damaged, cut short, or needs weights that are not here.
        """
        if self.tile:
            from neuralcodec.coding.codec import decode_picture
            from neuralcodec.picture.picture import to_pil

            try:
                data, partial = self._all_bytes(), ImageFile.LOAD_TRUNCATED_IMAGES
                picture = decode_picture(data, partial=partial, reduce=self._reduce, realism=REALISM)
            except DamagedFileError as error:
                raise OSError(str(error)) from None
            self.im = to_pil(picture).im
            if picture.damage is not None:
                warn([DamageWarning(picture.damage)])
            self.tile = []
            if self._exclusive_fp:
                self._close_fp()
        return Image.Image.load(self)

    def verify(self) -> None:
        """Check every checksum of the file, without decoding it.

        Raises:
            OSError: the file is damaged or cut short.
        """
        try:
            container.read(self._all_bytes())
        except DamagedFileError as error:
            raise OSError(str(error)) from None
        finally:
            super().verify()

    def _all_bytes(self) -> bytes:
        if self.fp is None:
            raise ValueError("the file is closed")
        self.fp.seek(0)
        return self.fp.read()


def _save(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    from neuralcodec.coding.targets import encode
    from neuralcodec.picture.exif import EXIF_PREFIX
    from neuralcodec.picture.icc import matching_icc
    from neuralcodec.picture.reading import load

    options = image.encoderinfo
    picture = load(image)
    notes = list(picture.notes)
    if "icc_profile" in options:
        picture.icc = matching_icc(options["icc_profile"], picture.pixels.shape[2] == 1, notes)
    if "exif" in options:
        exif = options["exif"]
        picture.exif = (exif.tobytes() if isinstance(exif, Image.Exif) else exif or b"").removeprefix(
            EXIF_PREFIX
        )
    if "xmp" in options:
        xmp = options["xmp"]
        picture.xmp = xmp.encode() if isinstance(xmp, str) else xmp
    quality, model = options.get("quality"), options.get("model", DEFAULT_MODEL)
    effort = options.get("effort", DEFAULT_EFFORT)
    warn(notes)
    denoise = options.get("denoise")
    stream.write(encode(picture, quality=quality, model=model, effort=effort, denoise=denoise).data)


Image.register_open(FORMAT, NcImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, ".nc")
Image.register_mime(FORMAT, MIME)
