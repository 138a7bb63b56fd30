#!/bin/sh
# PEFT writes an adapter that it cannot read where a name in modules_to_save ends two modules, one within the other.
#
# Versions: peft 0.21.2, transformers 5.23.0, torch 2.9.1 (CPU); the same with transformers 4.57.3.
# Valid input: modules_to_save=["embeddings"] on a ViT, whose patch embeddings are `vit.embeddings.patch_embeddings`: a
# name is taken as a plain ending, without regard to the dot before it.
# Seen: training and `save_pretrained` work, the file holds all tensors, and `PeftModel.from_pretrained` of that folder
# raises KeyError 'base_model.model.vit.embeddings.patch_embeddings.projection.weight'. With the longer name
# "vit.embeddings" the same tensors are saved and read.
#
# For those who fine-tune: try to load an adapter before the training that it is to hold, and give names long enough to
# end one module. A reader that goes by the tensors' names finds everything in the file.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
export UV_CACHE_DIR="${UV_CACHE_DIR:-$dir/cache}" VIRTUAL_ENV="$dir/env"
"$dir/env/bin/uv" pip install --quiet torch==2.9.1 transformers==5.23.0 peft==0.21.2

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

def saved_and_read(name):
    config = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=[name])
    get_peft_model(vit(), config).save_pretrained(name)
    tensors = {key for key in load_file(f"{name}/adapter_model.safetensors") if "embeddings" in key}
    try:
        PeftModel.from_pretrained(vit(), name)
        outcome = "loads"
    except KeyError as error:
        outcome = f"KeyError {error}"
    print(f'modules_to_save=["{name}"]: {len(tensors)} tensors of the embeddings saved; {outcome}')
    return tensors, outcome


short, short_outcome = saved_and_read("embeddings")
long, long_outcome = saved_and_read("vit.embeddings")
expected = "KeyError 'base_model.model.vit.embeddings.patch_embeddings.projection.weight'"
if not (len(short) == 4 and short == long and short_outcome == expected and long_outcome == "loads"):
    raise SystemExit("PEFT no longer behaves as described")
PROGRAM
