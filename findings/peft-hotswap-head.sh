#!/bin/sh
# PEFT cannot hot-swap an adapter that has a head of its own: KeyError with the name of one of the head's tensors.
#
# Versions: peft 0.21.2, transformers 5.23.0, torch 2.9.1 (CPU).
# Valid input: hotswap_adapter with two adapters of one shape, each LoRA with a classifier in modules_to_save.
# Seen: KeyError 'base_model.model.classifier.bias', with the adapter as it was; the help of the function names other
# limits, not this one. Without modules_to_save the swap gives exactly the second adapter's logits.
#
# For those who fine-tune: a classifier is nearly always trained along in vision, so hot-swapping is for frozen heads
# only; elsewhere load_adapter under a second name, and set_adapter.
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
from peft.utils.hotswap import hotswap_adapter
from transformers import ViTConfig, ViTForImageClassification

images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(9))


def vit():
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    return ViTForImageClassification(ViTConfig(**sizes, image_size=32, patch_size=16, num_labels=3)).eval()

def adapter(name, seed, head):
    """Saves an adapter with or without a head, as trained with this seed, and returns its logits."""
    config = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=head)
    model = get_peft_model(vit(), config).eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight))
    model.save_pretrained(name)
    return model(images).logits

def swapped(head):
    first, second = adapter("first", 1, head), adapter("second", 2, head)
    model = PeftModel.from_pretrained(vit(), "first").eval()
    try:
        hotswap_adapter(model, "second", adapter_name="default")
        said = "swapped"
    except KeyError as error:
        said = f"KeyError {error}"
    logits = model(images).logits
    whose = "first" if torch.equal(logits, first) else "second" if torch.equal(logits, second) else "neither"
    print(f"modules_to_save={head}: {said}; logits of the {whose}")
    return said, whose


with torch.no_grad():
    plain, with_head = swapped(None), swapped(["classifier"])
if not (plain == ("swapped", "second") and with_head == ("KeyError 'base_model.model.classifier.bias'", "first")):
    raise SystemExit("PEFT no longer behaves as described")
PROGRAM
