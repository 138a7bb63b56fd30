#!/bin/sh
# vitune on this machine's GPU, all in one file: unpacks itself and runs the kernel suite, ten losses and timed LoRA steps.
#     sh FILE [--out FOLDER] [--small] [--software]
# Made by benchmarks/bundle-for-gpu.mjs. Needs a shell, tail, tar and gzip; Linux on x64.
set -eu
home=$(mktemp -d "${TMPDIR:-/tmp}/vitune-gpu-XXXXXX")
trap 'rm -rf "$home"' EXIT
tail -n +LINE "$0" | gzip -dc | tar -xf - -C "$home"
code=0
"$home/bin/node" "$home/bench/gpu.js" "$@" || code=$?
exit $code
