#!/bin/sh
# transformers 5 lays transparent images on white where transformers 4 dropped the transparency.
#
# Versions: transformers 4.57.3 and 5.23.0, Pillow 13.0.0.
# Valid input: a red image (204, 0, 0) with alpha 0, 128 and 255, and a grey one (100) with alpha 0, through the image
# processor of DINOv2 (BitImageProcessor, in 5 its Pillow form BitImageProcessorPil) without rescaling.
# Seen: 4.57.3 gives [204, 0, 0] and [100, 100, 100] whatever alpha is, as Pillow's convert("RGB") does; 5.23.0 gives
# white for alpha 0 and [229, 127, 127] for alpha 128.
#
# For those who fine-tune: a data set of cut-out objects looks different to the same checkpoint under the two versions,
# and to other readers that drop alpha. Lay transparent images on one background before training and in use.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat > "$dir/alpha.py" << 'PROGRAM'
import numpy
import transformers
from PIL import Image

kind = transformers.BitImageProcessor if transformers.__version__ < "5" else transformers.BitImageProcessorPil
processor = kind(do_rescale=False, do_normalize=False)


def pixel(image):
    return numpy.asarray(processor(image)["pixel_values"][0])[:, 0, 0].astype(int).tolist()


red = [Image.new("RGBA", (16, 16), (204, 0, 0, alpha)) for alpha in (0, 128, 255)]
print(*map(pixel, red), pixel(Image.new("LA", (16, 16), (100, 0))))
PROGRAM

expect() {
  python3 -m venv "$dir/$1"
  "$dir/$1/bin/pip" install --quiet --disable-pip-version-check "transformers==$1" pillow==13.0.0
  got=$("$dir/$1/bin/python" -W ignore "$dir/alpha.py" 2> "$dir/log") || cat "$dir/log"
  echo "transformers $1, red of alpha 0, 128, 255 and grey of alpha 0: $got"
  [ "$got" = "$2" ] || {
    echo 'transformers no longer behaves as described'
    exit 1
  }
}
expect 4.57.3 '[204, 0, 0] [204, 0, 0] [204, 0, 0] [100, 100, 100]'
expect 5.23.0 '[255, 255, 255] [229, 127, 127] [204, 0, 0] [255, 255, 255]'
