#!/bin/sh
# PEFT's layers_to_transform is passed over, in silence, for targets given by their whole names.
#
# Versions: peft 0.21.2, transformers 5.23.0, torch 2.9.1 (CPU); the same with transformers 4.57.3.
# Valid input: layers_to_transform=[1] with target_modules that name the query of layers 0 and 1.
# Seen: by the ending "q_proj", or by all but the first part of the name ("layers.0.attention.q_proj"), only layer 1 is
# adapted. By the whole name ("vit.layers.0.attention.q_proj") layers 0 and 1 are. The saved adapter_config.json says
# layers_to_transform [1] all the same; for a regular expression the option is refused.
#
# For those who fine-tune: target lists that were read off a model hold whole names, so that a run meant for the last
# layers adapts all that are listed; count the trained parameters. A reader has to follow both rules.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
export UV_CACHE_DIR="${UV_CACHE_DIR:-$dir/cache}" VIRTUAL_ENV="$dir/env"
"$dir/env/bin/uv" pip install --quiet torch==2.9.1 transformers==5.23.0 peft==0.21.2

cd "$dir"
env/bin/python -W ignore - << 'PROGRAM'
import json

import torch
from peft import LoraConfig, get_peft_model
from transformers import ViTConfig, ViTForImageClassification


def vit():
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    return ViTForImageClassification(ViTConfig(**sizes, image_size=32, patch_size=16, num_labels=3)).eval()

def adapted(targets):
    model = get_peft_model(vit(), LoraConfig(r=2, target_modules=targets, layers_to_transform=[1]))
    model.save_pretrained("adapter")
    with open("adapter/adapter_config.json") as file:
        written = json.load(file)["layers_to_transform"]
    names = [name for name, _ in model.named_parameters() if "lora_A" in name]
    layers = [int(name.split("layers.")[1].split(".")[0]) for name in names]
    print(f"target_modules={targets}: layers {layers} adapted, layers_to_transform {written} written")
    return layers, written


ending = adapted(["q_proj"])
part = adapted(["layers.0.attention.q_proj", "layers.1.attention.q_proj"])
whole = adapted(["vit.layers.0.attention.q_proj", "vit.layers.1.attention.q_proj"])
if not (ending == part == ([1], [1]) and whole == ([0, 1], [1])):
    raise SystemExit("PEFT no longer behaves as described")
PROGRAM
