#!/bin/sh
# The image processor of DINOv3 reads a palette image's indices as grey levels, and a 1-bit image as nearly black.
#
# Versions: transformers 5.23.0, torch 2.9.1, torchvision 0.24.1, Pillow 13.0.0.
# Valid input: one plain red square, as RGB and as the palette image that Pillow's convert("P") makes of it; one white
# square, as grey levels and as a 1-bit image.
# Seen: DINOv3ViTImageProcessor, which has no conversion to RGB by default, turns the palette image into a grey one
# whose level is the palette's index, and white of one bit into level 1 of 255, without a warning. With
# do_convert_rgb=True both are right, and so they are by default in DINOv2's BitImageProcessor.
#
# For those who fine-tune: PNG and GIF data sets often hold palette images beside others; those train on noise, or have
# to be converted before. Moving from DINOv2 to DINOv3 changes this without a word.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
export UV_CACHE_DIR="${UV_CACHE_DIR:-$dir/cache}" VIRTUAL_ENV="$dir/env"
"$dir/env/bin/uv" pip install --quiet torch==2.9.1 torchvision==0.24.1 transformers==5.23.0 pillow==13.0.0

cd "$dir"
env/bin/python -W ignore - << 'PROGRAM'
from PIL import Image
from transformers import BitImageProcessor, DINOv3ViTImageProcessor

red = Image.new("RGB", (32, 32), (204, 0, 0))
white = Image.new("L", (32, 32), 255)
plain = dict(image_mean=[0, 0, 0], image_std=[1, 1, 1])


def levels(processor, image):
    """The first pixel's three channels, 0 to 255."""
    pixels = processor(image, return_tensors="pt")["pixel_values"][0, :, 0, 0]
    return [round(value * 255) for value in pixels.tolist()]


def all_levels(name, processor):
    images = [red, red.convert("P"), white, white.convert("1")]
    seen = [levels(processor, image) for image in images]
    print(f"{name}: red as RGB {seen[0]}, as palette {seen[1]}; white as grey {seen[2]}, as 1-bit {seen[3]}")
    return seen


dinov2 = all_levels("DINOv2's", BitImageProcessor(**plain))
asked = all_levels("DINOv3's, do_convert_rgb", DINOv3ViTImageProcessor(**plain, do_convert_rgb=True))
dinov3 = all_levels("DINOv3's", DINOv3ViTImageProcessor(**plain))
index = red.convert("P").getpixel((0, 0))
right = [[204, 0, 0], [204, 0, 0], [255] * 3, [255] * 3]
if not (dinov2 == asked == right and dinov3 == [[204, 0, 0], [index] * 3, [255] * 3, [1] * 3]):
    raise SystemExit("transformers no longer behaves as described")
PROGRAM
