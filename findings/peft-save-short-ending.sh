#!/bin/sh
# PEFT matches modules_to_save in two ways: as a plain ending where it wraps a module, as whole parts of a name where it
# keeps LoRA off it. A short ending then puts a trained copy around LoRA layers, and the adapter cannot be read again.
#
# Versions: peft 0.21.2, transformers 4.57.3, torch 2.9.1 (CPU).
# Valid input: target_modules=["output.dense"], modules_to_save=["put"] on a ViT, whose blocks have modules `output` and
# `attention.output`.
# Seen: `output` is wrapped ("output" ends in "put"), and `output.dense` within it gets LoRA too ("put" is no whole
# part). The saved file holds `...output.dense.base_layer.weight`, a full copy, beside `...output.dense.lora_A.weight`;
# `PeftModel.from_pretrained` raises KeyError '...attention.output.dense.lora_A.default.weight'. With "output" for "put"
# PEFT refuses at once, since no target is left.
#
# For those who fine-tune: names in modules_to_save are best whole parts of a name; an ending is neither refused nor safe.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
export UV_CACHE_DIR="${UV_CACHE_DIR:-$dir/cache}" VIRTUAL_ENV="$dir/env"
"$dir/env/bin/uv" pip install --quiet torch==2.9.1 transformers==4.57.3 peft==0.21.2

cd "$dir"
env/bin/python -W ignore - << 'PROGRAM'
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import ViTConfig, ViTForImageClassification


def vit():
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    return ViTForImageClassification(ViTConfig(**sizes, image_size=32, patch_size=16, num_labels=3)).eval()

def outcome(ending):
    config = LoraConfig(r=2, target_modules=["output.dense"], modules_to_save=[ending])
    try:
        get_peft_model(vit(), config).save_pretrained(ending)
    except ValueError as error:
        return "refused at the start", str(error)[:60]
    kinds = {key.split("output.dense.")[1] for key in load_file(f"{ending}/adapter_model.safetensors")}
    try:
        PeftModel.from_pretrained(vit(), ending)
        return "read again", kinds
    except KeyError as error:
        return f"KeyError {error}", kinds


short, whole = outcome("put"), outcome("output")
print('modules_to_save=["put"]:', short[0], sorted(short[1]))
print('modules_to_save=["output"]:', *whole)
expected = "KeyError 'base_model.model.vit.encoder.layer.0.attention.output.dense.lora_A.default.weight'"
both = {"base_layer.weight", "base_layer.bias", "lora_A.weight", "lora_B.weight"}
if not (short == (expected, both) and whole[0] == "refused at the start"):
    raise SystemExit("PEFT no longer behaves as described")
PROGRAM
