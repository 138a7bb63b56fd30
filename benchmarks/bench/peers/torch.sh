#!/bin/sh
# PyTorch 2.15 for npm run bench, in a virtual environment of its own in node_modules/.cache, which is removed with it:
#     sh benchmarks/bench/peers/torch.sh
# Exact versions from torch.txt. The wheel that PyPI has for Linux on x64 is the one for GPUs, which loads their libraries even
# where there is none: all in all 1.7 GB to download and 4 GB on the disk. A Python other than python3: PYTHON=python3.12.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=$here/../../../node_modules/.cache/vitune/torch-2.15.0
mkdir -p "$(dirname "$home")"
if [ -x "$home/bin/python" ] && "$home/bin/python" -c 'import torch' 2>/dev/null; then
  echo "PyTorch is there: $home"
  exit 0
fi
fresh=$home.$$
trap 'rm -rf "$fresh"' EXIT
"${PYTHON:-python3}" -m venv "$home.$$"
"$fresh/bin/python" -m pip install --no-deps --no-compile --disable-pip-version-check -r "$here/torch.txt"
"$fresh/bin/python" -c 'import torch; print("PyTorch", torch.__version__)'
rm -rf "$home"
mv "$fresh" "$home"
