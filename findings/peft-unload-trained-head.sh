#!/bin/sh
# PEFT's unload() returns "the base model" with the trained head in it, and with the trained biases.
#
# Versions: peft 0.21.2, transformers 5.23.0, torch 2.9.1 (CPU).
# Valid input: a trained adapter with bias="lora_only" and modules_to_save=["classifier"]; then unload(), documented as
# the base model without PEFT's modules and without merging.
# Seen: LoRA is gone, but the classifier is the adapter's, and so are the biases of the layers that had LoRA. Within
# disable_adapter() the classifier is the base's and the biases are still the adapter's.
#
# For those who fine-tune: a second experiment started from an unloaded model starts from the first one's head; load the
# base model anew. A comparison with "the adapter off" is one only without trained biases.
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
from peft import LoraConfig, get_peft_model
from transformers import ViTConfig, ViTForImageClassification


def vit():
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    return ViTForImageClassification(ViTConfig(**sizes, image_size=32, patch_size=16, num_labels=3)).eval()

config = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["classifier"], bias="lora_only")
model = get_peft_model(vit(), config).eval()
with torch.no_grad():
    for weight in model.parameters():
        if weight.requires_grad:
            weight.add_(1)

images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(9))
with torch.no_grad(), model.disable_adapter():
    pooled = model.base_model.model.vit(images).last_hidden_state[:, 0]
    head_off = torch.equal(model(images).logits, vit().classifier(pooled))
    logits_off = torch.equal(model(images).logits, vit()(images).logits)
print(f"disable_adapter(): the base's classifier {head_off}, the base's logits {logits_off}")

base, unloaded = vit().state_dict(), model.unload().state_dict()
changed = sorted(name for name in base if not torch.equal(base[name], unloaded[name]))
print("changed by unload() against the base model:", *changed)
biases = [f"vit.layers.{layer}.attention.q_proj.bias" for layer in range(2)]
if not (head_off and not logits_off and changed == ["classifier.bias", "classifier.weight", *biases]):
    raise SystemExit("PEFT no longer behaves as described")
PROGRAM
