"""The public interface: what it takes and gives, and what importing it costs."""

import ast
import io
import mmap
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from conftest import photograph
from PIL import Image

import neuralcodec
from neuralcodec import weights

SOURCE = Path(neuralcodec.__file__).parent
HEAVY = ("torch", "numpy", "PIL", "safetensors", "constriction")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return photograph(40, 50)


def test_every_kind_of_input_gives_the_same_file(pixels: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    expected = neuralcodec.encode(pixels, quality=40)
    for source in (path, str(path), Image.fromarray(pixels), io.BytesIO(path.read_bytes())):
        assert neuralcodec.encode(source, quality=40) == expected
    with path.open("rb") as stream:
        assert neuralcodec.encode(stream, quality=40) == expected


@pytest.mark.parametrize(
    ("shape", "mode"),
    [((40, 50), "L"), ((40, 50, 1), "L"), ((40, 50, 2), "LA"), ((40, 50, 3), "RGB"), ((40, 50, 4), "RGBA")],
)
def test_modes(pixels: np.ndarray, shape: tuple[int, ...], mode: str) -> None:
    planes = np.dstack([pixels, pixels[..., :1]])[..., : shape[2] if len(shape) == 3 else 1]
    image = neuralcodec.decode(neuralcodec.encode(planes.reshape(shape)))
    assert image.mode == mode
    assert image.size == (50, 40)


@pytest.mark.parametrize("shape", [(40, 50), (40, 50, 2), (40, 50, 3), (40, 50, 4)])
def test_arrays_in_and_out(pixels: np.ndarray, shape: tuple[int, ...]) -> None:
    planes = np.dstack([pixels, pixels[..., :1]])[..., : shape[2] if len(shape) == 3 else 1]
    data = neuralcodec.encode(planes.reshape(shape))
    decoded = neuralcodec.decode(data, as_array=True)
    assert decoded.dtype == np.uint8
    assert decoded.shape == shape
    np.testing.assert_array_equal(decoded, np.asarray(neuralcodec.decode(data)))
    part = neuralcodec.decode(data, region=(5, 3, 20, 10), as_array=True)
    np.testing.assert_array_equal(part, decoded[3:13, 5:25])


def test_metadata_is_in_the_decoded_image(pixels: np.ndarray, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    path = tmp_path / "picture.jpg"
    Image.fromarray(pixels).save(path, exif=exif, xmp=b"<x:xmpmeta/>")
    image = neuralcodec.decode(neuralcodec.encode(path))
    assert image.getexif()[0x010F] == "Maker"
    assert image.info["xmp"] == b"<x:xmpmeta/>"


def test_info_says_what_the_file_is(pixels: np.ndarray) -> None:
    data = neuralcodec.encode(np.dstack([pixels, pixels[..., 0]]), quality=33)
    facts = neuralcodec.info(data)
    assert facts.codec == "conv"
    assert facts.weights == weights.by_name("conv").id.hex()
    assert facts.weights_name == "conv"
    assert (facts.width, facts.height, facts.quality, facts.tiles) == (50, 40, 33, 1)
    assert facts.alpha is True
    assert facts.grey is False
    assert facts.bytes == len(data)
    assert facts.bpp == pytest.approx(8 * len(data) / 2000)
    assert 0 < facts.tile_bytes + facts.alpha_bytes < len(data)
    assert facts.icc_bytes == facts.exif_bytes == facts.xmp_bytes == 0


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(neuralcodec.UsageError, match="cannot read"):
        neuralcodec.encode(tmp_path / "none.png")
    with pytest.raises(neuralcodec.UsageError, match="uint8"):
        neuralcodec.encode(np.zeros((4, 4, 3)))  # type: ignore[arg-type]
    with pytest.raises(neuralcodec.UsageError, match="no model named 'vast'"):
        neuralcodec.encode(np.zeros((4, 4), np.uint8), model="vast")
    for function in (neuralcodec.decode, neuralcodec.info):
        with pytest.raises(neuralcodec.DamagedFileError, match=r"not an \.nc file"):
            function(b"plainly not one")


def test_errors_carry_the_exit_codes_of_the_command() -> None:
    codes = {error: error.exit_code for error in (neuralcodec.UsageError, neuralcodec.DamagedFileError)}
    assert codes == {neuralcodec.UsageError: 2, neuralcodec.DamagedFileError: 3}
    assert all(issubclass(error, neuralcodec.NeuralCodecError) for error in codes)
    assert neuralcodec.NeuralCodecError.exit_code == 1


def test_all_names_exist() -> None:
    assert all(hasattr(neuralcodec, name) for name in neuralcodec.__all__)


# ---- imports ----------------------------------------------------------------------------------------------


def loaded_by(program: str, *names: str) -> set[str]:
    """Which of the modules `names` a fresh interpreter has loaded after `program`."""
    program += f"\nimport sys; print(*(name for name in {names!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_is_light() -> None:
    assert loaded_by("import neuralcodec", *HEAVY) == set()


def test_a_header_is_read_without_torch(tmp_path: Path, pixels: np.ndarray) -> None:
    file = tmp_path / "a.nc"
    file.write_bytes(neuralcodec.encode(pixels))
    program = f"import neuralcodec, pathlib; neuralcodec.info(pathlib.Path({str(file)!r}).read_bytes())"
    assert loaded_by(program, *HEAVY) == set()


def test_coding_loads_no_loss() -> None:
    """What training minimises is none of a decoder's business, nor of an encoder's that does not search."""
    program = "import neuralcodec, numpy; data = neuralcodec.encode(numpy.zeros((9, 9), numpy.uint8))"
    program += "; neuralcodec.decode(data)"
    assert loaded_by(program, "torch", "neuralcodec.models.losses") == set()
    program = "import os; os.environ['NCODEC_RUNTIME'] = 'torch'; " + program
    assert loaded_by(program, "torch", "pytorch_msssim", "neuralcodec.models.losses") == {"torch"}


def test_all_but_the_transforms_does_without_torch() -> None:
    """A light run time for the transforms needs no torch beside it."""
    modules = ("format.container", "picture.reading", "coding.codec", "coding.targets", "entropy.prior")
    program = "\n".join(f"import neuralcodec.{module}" for module in modules)
    assert loaded_by(program, "torch", "numpy") == {"numpy"}


def imports_of(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports anywhere."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_torch_lives_in_the_models_and_in_training_only() -> None:
    """It is an extra, so whoever imports it, at its top or in a function, must know that it is there.

    The transforms (`models`) may, and the wings that require it (`training`, `bench`, `vae`); of `coding`,
    batches of tensors and the search that an effort makes. Nothing else may, not even the command line in a
    function.
    """
    users = {path.relative_to(SOURCE) for path in SOURCE.rglob("*.py") if "torch" in imports_of(path)}
    assert users
    names = ("batched", "compression_model", "refine", "soft_prior", "tensors")
    tensors = {Path("coding", f"{name}.py") for name in names}
    assert {path.parts[0] for path in users - tensors} <= {"models", "training", "bench", "vae"}


def test_nothing_needs_compressai_or_pickle() -> None:
    """The models of CompressAI are an extra of the benchmark, in one module of it."""
    for path in SOURCE.rglob("*.py"):
        extra = {"compressai", "torchvision"} if path.name == "zoo.py" else set()
        assert not (imports_of(path) - extra) & {"compressai", "pickle", "torchvision"}, path


# ---- damage -----------------------------------------------------------------------------------------------


def test_partial_decoding_warns_of_what_is_missing() -> None:
    planes = np.dstack([photograph(40, 50), photograph(40, 50, seed=1)[..., :1]])
    data = bytearray(neuralcodec.encode(planes, quality=50))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        intact = neuralcodec.decode(bytes(data), partial=True)
    data[-10] ^= 1  # in the alpha plane
    with pytest.raises(neuralcodec.DamagedFileError):
        neuralcodec.decode(bytes(data))
    with pytest.warns(neuralcodec.DamageWarning, match="0 of 1 tiles.*'A'") as caught:
        image = neuralcodec.decode(bytes(data), partial=True)
    assert image.mode == "RGBA" and image.convert("RGB").tobytes() == intact.convert("RGB").tobytes()
    warning = caught[0].message
    assert isinstance(warning, neuralcodec.DamageWarning)
    assert warning.damage.lost == ()
    assert not warning.damage.map().any()


def test_info_of_a_damaged_file_says_what_is_wrong() -> None:
    data = neuralcodec.encode(np.dstack([photograph(40, 50), photograph(40, 50, seed=1)[..., :1]]))
    assert neuralcodec.info(data).damage == neuralcodec.info(data).lost_tiles == ()
    facts = neuralcodec.info(data[:-3])
    assert facts.lost_tiles == ()
    assert len(facts.damage) == 1 and "cut short" in facts.damage[0]


def test_max_pixels_is_an_argument(pixels: np.ndarray) -> None:
    data = neuralcodec.encode(pixels)
    assert neuralcodec.decode(data, max_pixels=2000).size == (50, 40)
    for function in (neuralcodec.decode, neuralcodec.info):
        with pytest.raises(neuralcodec.DamagedFileError, match="limit is 1999"):
            function(data, max_pixels=1999)


def test_warnings_point_at_the_caller_and_come_each_time(tmp_path: Path) -> None:
    """As Python shows them: without the filters of pytest, in a program of its own."""
    program = tmp_path / "program.py"
    program.write_text(
        "import io, numpy, neuralcodec, neuralcodec.pillow_plugin\n"
        "from PIL import Image\n"
        "for _ in range(2):\n"
        "    neuralcodec.encode(numpy.zeros((20, 20), 'u1'), target_size=5000)  # line 4\n"
        "Image.new('L', (20, 20)).save(io.BytesIO(), 'NC')\n"
        "drawn = numpy.kron(numpy.eye(20, dtype='u1') * 255, numpy.ones((8, 8), 'u1'))\n"
        "Image.fromarray(drawn).save(io.BytesIO(), 'NC')  # line 7\n"
    )
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, check=True)
    places = [line.split(": ")[:2] for line in done.stderr.splitlines() if "Warning: " in line]
    assert places == [[f"{program}:{line}", "NeuralCodecWarning"] for line in (4, 4, 7)]


def test_usage_errors_are_value_errors(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="quality"):
        neuralcodec.encode(pixels, quality=101)


# ---- what is taken ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def data() -> bytes:
    return neuralcodec.encode(photograph(40, 50), quality=40)


def test_files_come_in_whatever_holds_them(data: bytes, tmp_path: Path) -> None:
    expected, facts = np.asarray(neuralcodec.decode(data)), neuralcodec.info(data)
    path = tmp_path / "a.nc"
    path.write_bytes(data)
    at_its_end = io.BytesIO(data)
    at_its_end.seek(0, io.SEEK_END)
    behind_another = io.BytesIO(b"other" + data)
    behind_another.seek(5)
    held = [
        bytearray(data),
        memoryview(data),
        memoryview(data + data)[: len(data)],
        np.frombuffer(data, "u1"),
    ]
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        for source in (*held, pages, path, str(path), stream, io.BytesIO(data), at_its_end, behind_another):
            assert (neuralcodec.decode(source, as_array=True) == expected).all()
            if source is behind_another:
                source.seek(5)
            assert neuralcodec.info(source) == facts


def test_what_holds_no_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    closed = io.BytesIO(b"x")
    closed.close()
    for function in (neuralcodec.decode, neuralcodec.info, neuralcodec.encode):
        with (tmp_path / "a.txt").open() as text, pytest.raises(neuralcodec.UsageError, match="mode 'rb'"):
            function(text)
        for source, words in (
            (tmp_path / "none", "none: "),
            (tmp_path, str(tmp_path)),
            ("zero\0byte", "zero"),
            (closed, "closed"),
            (17, "int"),
            (None, "NoneType"),
        ):
            with pytest.raises(neuralcodec.UsageError, match=words):
                function(source)
    with pytest.raises(neuralcodec.DamagedFileError, match="more than"):
        neuralcodec.decode(io.BytesIO(bytes(2**26 + 10000)), max_pixels=1)


@pytest.mark.parametrize(
    "region", [(1, 0, 10), (1, 2, 3, 4, 5), (0.5, 0, 9, 9), "1234", 7, (True, 0, 9, 9), (0, 0, None, 9)]
)
def test_regions_are_four_whole_numbers(data: bytes, region: object) -> None:
    with pytest.raises(neuralcodec.UsageError, match="region must be x, y, width and height in whole pixels"):
        neuralcodec.decode(data, region=region)  # type: ignore[call-overload]


@pytest.mark.filterwarnings("ignore::neuralcodec.NeuralCodecWarning")
def test_numbers_of_numpy_are_numbers(data: bytes, pixels: np.ndarray) -> None:
    region = np.array([5, 3, 20, 10])
    part = neuralcodec.decode(data, region=region, max_pixels=np.int64(10**6), as_array=True)
    assert (part == neuralcodec.decode(data, as_array=True)[3:13, 5:25]).all()
    assert neuralcodec.encode(pixels, quality=np.float32(40), effort=np.int8(1)) == data
    size = np.int64(len(data))
    assert len(neuralcodec.encode(pixels, target_size=size)) <= size
    assert len(neuralcodec.encode(pixels, target_bpp=np.float32(8 * size / 2000))) <= size


@pytest.mark.parametrize("value", [0, -5, 1.5, "many", True])
def test_limits_are_whole_numbers(data: bytes, value: object) -> None:
    for function in (neuralcodec.decode, neuralcodec.info):
        with pytest.raises(neuralcodec.UsageError, match="max_pixels must be a whole number above 0"):
            function(data, max_pixels=value)
    with pytest.raises(neuralcodec.UsageError):
        neuralcodec.decode(data, stage=value)


def test_pictures_that_are_closed_are_named(tmp_path: Path, pixels: np.ndarray) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    with Image.open(path) as never_read:
        pass
    with path.open("rb") as stream:
        of_a_closed_file = Image.open(stream)
    given_up = Image.fromarray(pixels)
    given_up.close()
    for image in (never_read, of_a_closed_file, given_up):
        with pytest.raises(neuralcodec.UsageError, match="the picture is closed"):
            neuralcodec.encode(image)
    with Image.open(path) as read:
        read.load()
    assert neuralcodec.encode(read) == neuralcodec.encode(pixels)


def test_pictures_in_streams_are_read_from_their_start(pixels: np.ndarray) -> None:
    """As `Image.open` does, so that what `save` has just written can be encoded."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    assert stream.tell() == len(stream.getvalue())
    assert neuralcodec.encode(stream) == neuralcodec.encode(pixels)


@pytest.mark.parametrize("device", ["cpu", "auto"])
def test_the_device_is_an_argument(data: bytes, pixels: np.ndarray, device: str) -> None:
    assert neuralcodec.encode(pixels, quality=40, device=device) == data
    assert neuralcodec.decode(data, device=device).size == (50, 40)
    assert next(neuralcodec.load_model(device=device).parameters()).device.type == "cpu"


def test_a_device_that_is_not_there_is_refused(data: bytes, pixels: np.ndarray) -> None:
    for call in (
        lambda: neuralcodec.encode(pixels, device="tpu"),
        lambda: neuralcodec.decode(data, device="tpu"),
        lambda: neuralcodec.load_model(device="tpu"),
    ):
        with pytest.raises(neuralcodec.UsageError, match="device must be auto, cpu or cuda, not 'tpu'"):
            call()


def test_info_is_a_record_that_cannot_be_changed(data: bytes) -> None:
    facts = neuralcodec.info(data)
    assert isinstance(facts, neuralcodec.Info)
    with pytest.raises(AttributeError):
        facts.width = 1  # type: ignore[misc]
