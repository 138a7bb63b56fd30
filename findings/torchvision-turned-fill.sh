#!/bin/sh
# torchvision's bilinear rotate and affine of tensors count a pixel at the edge of the turned image twice: an image of one
# grey, turned over a fill of the same grey, gets a darker rim.
#
# Versions: torchvision 0.29.2, torch 2.15.0 (CPU).
# Valid input: rotate and affine of transforms.v2.functional on 16 x 16 pixels of 200, with fill 200, where every output must be 200.
# Seen: bilinear tensors have values down to 150; nearest ones, and the same call on a Pillow image, are 200 everywhere.
#
# For those who fine-tune: RandomRotation and RandomAffine with a fill (white scans, a grey mean) draw frames around what they
# turn, and only where images are tensors, so that two pipelines which look alike train on different pixels. Turn Pillow images there.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
export UV_CACHE_DIR="${UV_CACHE_DIR:-$dir/cache}" VIRTUAL_ENV="$dir/env"
"$dir/env/bin/uv" pip install --quiet torch==2.15.0 torchvision==0.29.2 numpy==2.4.6

cd "$dir"
env/bin/python -W ignore - << 'PROGRAM'
import numpy
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

GREY = 200
tensor = torch.full((3, 16, 16), GREY, dtype=torch.uint8)
pillow = Image.fromarray(numpy.full((16, 16, 3), GREY, numpy.uint8))
changes = {
    "rotate": lambda image, mode: functional.rotate(image, 30, interpolation=mode, fill=GREY),
    "affine": lambda image, mode: functional.affine(
        image, angle=0, translate=[0, 0], scale=0.7, shear=[0, 0], interpolation=mode, fill=GREY
    ),
}
darkest = {}
for name, change in changes.items():
    for mode in (InterpolationMode.NEAREST, InterpolationMode.BILINEAR):
        darkest[name, "tensor", mode.value] = int(change(tensor, mode).min())
        darkest[name, "pillow", mode.value] = int(numpy.asarray(change(pillow, mode)).min())
for (name, kind, mode), value in darkest.items():
    print(f"{name}, {kind}, {mode}: darkest {value} of {GREY}")
rims = {name for (name, kind, mode), value in darkest.items() if value < GREY - 30}
sound = all(
    value == GREY for (name, kind, mode), value in darkest.items() if kind == "pillow" or mode == "nearest"
)
if not (rims == {"rotate", "affine"} and sound):
    raise SystemExit("torchvision no longer behaves as described")
PROGRAM
