#!/bin/sh
# bitsandbytes multiplies 4-bit codes by the maxima of other blocks on a CPU with AVX-512, where a row is not whole blocks.
#
# Versions: bitsandbytes 0.50.2, torch 2.15.0, on a CPU with AVX-512; on another the script says that nothing can be seen.
# Valid input: quantize_4bit (NF4, block 64) of matrices of 96, 48 and 144 columns, then dequantize_4bit; 128 and 100 beside them.
# Seen: with 96, 48 and 144 columns most values are code * absmax[row * (columns // 64) + column // 64], as if each row had
# columns // 64 blocks, and not code * absmax[element // 64]. They are off by more than a third of the largest weight.
# 128 columns (whole blocks) and 100 (no multiple of 16) are right.
#
# For those who fine-tune: first stages of Swin-T and ConvNeXt-T have 96 columns, and 4-bit layers dequantise in each training
# step. Such a model trains there on other frozen weights than the file holds. Name these layers in llm_int8_skip_modules.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
export UV_CACHE_DIR="${UV_CACHE_DIR:-$dir/cache}" VIRTUAL_ENV="$dir/env"
"$dir/env/bin/uv" pip install --quiet torch==2.15.0 bitsandbytes==0.50.2

cd "$dir"
env/bin/python -W ignore - << 'PROGRAM'
import torch
from bitsandbytes import functional
from bitsandbytes.cextension import lib

BLOCK = 64
ROWS = 67


def has_avx512():
    """What the library's choice of loops rests on; a library for other processors lacks the question."""
    try:
        return bool(lib.has_avx512f_cpu())
    except (AttributeError, RuntimeError, OSError):
        return False


def compare(columns):
    """Says whether dequantised values are those of their own block, or of columns // BLOCK blocks a row."""
    weight = torch.randn(ROWS, columns, generator=torch.Generator().manual_seed(1)) * 0.02
    packed, state = functional.quantize_4bit(weight, blocksize=BLOCK, quant_type="nf4")
    seen = functional.dequantize_4bit(packed, state)
    nibbles = torch.stack([packed.reshape(-1) >> 4, packed.reshape(-1) & 15], dim=1)
    values = state.code[nibbles.reshape(-1).long()[: weight.numel()]].reshape(weight.shape)
    row, column = torch.arange(ROWS)[:, None], torch.arange(columns)[None, :]
    right = values * state.absmax[(row * columns + column) // BLOCK]
    wrong = values * state.absmax[row * (columns // BLOCK) + column // BLOCK]
    share = (seen != right).float().mean().item()
    print(
        f"{columns} columns: {share:.0%} of the values are another block's, off by up to {(seen - right).abs().max():.4f}"
        f" (quantising: {(right - weight).abs().max():.4f}, largest weight {weight.abs().max():.4f})"
    )
    return torch.allclose(seen, right, atol=1e-6), torch.allclose(seen, wrong, atol=1e-6)


wide = has_avx512()
seen = {columns: compare(columns) for columns in (96, 48, 144, 128, 100)}
sound = seen[128][0] and seen[100][0]
narrow = [seen[columns] for columns in (96, 48, 144)]
if not wide and sound and all(right for right, _ in narrow):
    print("This processor has no AVX-512: every width is right here, and the behaviour cannot be seen.")
    raise SystemExit(0)
if not (wide and sound and all(result == (False, True) for result in narrow)):
    raise SystemExit("bitsandbytes no longer behaves as described")
PROGRAM
