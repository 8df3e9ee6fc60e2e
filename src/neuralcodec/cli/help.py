"""What `ncodec COMMAND --help` prints below the options."""

EXIT_CODES = """\
exit codes:
  0    done
  1    failed: no permission, a full disk, not enough memory, ...
  2    wrong usage: an option, a missing input, an output that exists
  3    the input is damaged, cut short, not of a known format, or beyond the limits
  4    decoded with --partial from a damaged file: parts are approximate or missing
  130  interrupted by Ctrl-C
  of several files, the highest code counts
"""

OVERVIEW = """\
examples:
  ncodec encode photo.png                     writes photo.nc
  ncodec decode photo.nc photo.jpg
  ncodec encode -q 30 *.png -o small/
  ncodec compare photo.png photo.nc

`ncodec COMMAND --help` has the options and more examples.

"""

ENCODE = """\
examples:
  ncodec encode photo.png                     writes photo.nc
  ncodec encode -q 80 photo.png best.nc
  ncodec encode --target-size 24kB photo.png
  ncodec encode -e 9 photo.png                takes its time for a smaller file
  ncodec encode *.png -o small/               writes small/NAME.nc for each
  ncodec encode -r photos/ -o small/ --resume goes on where it was stopped
  curl -s https://example.org/a.jpg | ncodec encode - a.nc

Any format Pillow reads goes in, whatever its name says. ICC profile, EXIF, XMP and transparency are kept.

"""

DECODE = """\
examples:
  ncodec decode photo.nc                      writes photo.png
  ncodec decode photo.nc photo.jpg
  ncodec decode *.nc -o pictures/ --format webp
  ncodec decode --format ppm photo.nc - | display -
  ncodec decode --region 1000,500,400,300 large.nc detail.png
  ncodec decode --partial --damage-map mask.png damaged.nc

The extension of OUT says the format: png, jpg, webp, tif, avif, ppm or bmp.

"""

INFO = """\
example:
  ncodec info --json photo.nc

Reads the header and the chunks, decodes nothing.

"""

COMPARE = """\
examples:
  ncodec compare photo.png photo.nc
  ncodec compare --json photo.png photo.jpg

All measures are of the 8-bit pictures. SSIMULACRA2 needs neuralcodec[bench]. In JSON, null stands for an
infinite value and for one that was not measured.

"""

TRUNCATE = """\
examples:
  ncodec truncate photo.nc preview.nc --size 8kB
  ncodec truncate photo.nc - --stage 3 > three.nc

Takes the first stages of a file that `encode --model gru` wrote. Nothing is encoded again: the result
is what encoding with fewer stages gives.

"""

PROGRESSIVE = """\
examples:
  ncodec progressive photo.nc --out stages/
  ncodec progressive photo.nc --out stages/ --against photo.png

Writes stage-1.png, stage-2.png, ... and sheet.png, which has all of them with their bytes and MS-SSIM.

"""

VIEW = """\
examples:
  ncodec view photo.nc                        serves the page until Ctrl-C
  ncodec view photo.nc --against photo.jpg --out page.html

The page is one file that needs nothing else: zoom, a line to move between the two pictures, sizes, MS-SSIM
and PSNR. Pictures of more than 4 megapixels are shown reduced, and measured in full.

"""

BENCH = """\
examples:
  ncodec bench sample_images/ --out report/   writes report/report.html, .md and .json
  ncodec bench kodak/ --out report/ --against jpeg,webp,avif,jxl

A folder stands for the pictures in it and in its own folders. What a run into the same folder has measured is
not measured again. What fails is reported and left out, and the exit code tells.

"""

TRAIN = """\
examples:
  ncodec train conv --data photos/ --valid held-out/ --out runs/conv
  torchrun --nproc-per-node 8 -m neuralcodec train conv --data photos/ --out runs/conv

Stops cleanly at Ctrl-C; the same command goes on where the last one stopped.

"""

EXPORT = """\
example:
  ncodec export runs/conv/checkpoint.safetensors conv.safetensors --images held-out/ --fit photos/

"""


COMPLETION = """\
examples:
  eval "$(ncodec completion bash)"            in ~/.bashrc
  eval "$(ncodec completion zsh)"             in ~/.zshrc, behind compinit
  ncodec completion fish > ~/.config/fish/completions/ncodec.fish

"""
