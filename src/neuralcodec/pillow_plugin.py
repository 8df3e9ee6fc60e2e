"""Pillow reads and writes `.nc` once this module is imported.

    import neuralcodec.pillow_plugin
    from PIL import Image

    Image.open("photo.nc").save("photo.png")
    Image.open("photo.png").save("photo.nc", quality=60)

Opening reads the container alone: size, mode and metadata are there without torch. The first access to
pixels decodes. Save options are `quality` (0 to 100, kept to two decimals, default 50), `model`,
`icc_profile`, `exif` and `xmp`; metadata not named is taken from the image's `info`, as Pillow's own writers
of EXIF do it.
"""

from __future__ import annotations

from io import BytesIO
from typing import IO, Any

from PIL import Image, ImageFile

from neuralcodec import container
from neuralcodec.errors import DamagedFileError
from neuralcodec.header import MAGIC

FORMAT = "NC"
MIME = "image/x-neuralcodec"


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
        self._data = self.fp.read()
        try:
            file = container.read(self._data)
        except DamagedFileError as error:
            raise SyntaxError(str(error)) from None  # Pillow's word for: not a file I can open
        header = file.header
        self._size = header.width, header.height
        self._mode = ("L" if header.grey else "RGB") + ("A" if header.alpha else "")
        self.info["quality"] = header.quality
        for name, value in (("icc_profile", file.icc), ("xmp", file.xmp)):
            if value:
                self.info[name] = value
        if file.exif:
            self.info["exif"] = b"Exif\0\0" + file.exif
        self.tile = [ImageFile._Tile("raw", (0, 0, *self.size), 0, self.mode)]

    def load(self) -> Any:
        """Decode, at the first access to the pixels."""
        if self.tile:
            from neuralcodec.codec import decode_picture
            from neuralcodec.image import to_pil

            try:
                decoded = to_pil(decode_picture(self._data))
            except DamagedFileError as error:
                raise OSError(str(error)) from None
            if self.fp is not None and self._exclusive_fp:
                self.fp.close()
            self._data = b""
            self.fp = BytesIO(decoded.tobytes())
        return super().load()


def _save(image: Image.Image, stream: IO[bytes], filename: str | bytes) -> None:
    from neuralcodec.codec import DEFAULT_QUALITY, encode_picture
    from neuralcodec.image import load

    options = image.encoderinfo
    wanted = image.copy()  # with the metadata to be written, the caller's image left as it is
    wanted.info = dict(image.info)
    for name in ("icc_profile", "exif", "xmp"):
        if name in options:
            value = options[name]
            wanted.info[name] = value.tobytes() if isinstance(value, Image.Exif) else value
            if not value:
                wanted.info.pop(name)
    quality, model = options.get("quality", DEFAULT_QUALITY), options.get("model", "conv")
    stream.write(encode_picture(load(wanted), quality=quality, model=model))


Image.register_open(FORMAT, NcImageFile, _accept)
Image.register_save(FORMAT, _save)
Image.register_extension(FORMAT, ".nc")
Image.register_mime(FORMAT, MIME)
