#!/bin/sh
# PEFT merges the adapter that merge_and_unload is asked for, but keeps the head of the adapter that is active.
#
# Versions: peft 0.21.2, transformers 5.23.0, torch 2.9.1 (CPU).
# Valid input: two adapters, each LoRA with a classifier of its own in modules_to_save, loaded as "a" (active) and "b";
# then merge_and_unload(adapter_names=["b"]).
# Seen: a plain model without a warning, whose backbone is b's and whose classifier is a's: its logits are neither's.
# merge_adapter(["b"]) does the same. After set_adapter("b") first, the logits are b's.
#
# For those who fine-tune: call set_adapter before merging one of several adapters with heads, and compare the merged
# model's logits with the adapter's before the file is given away.
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
from transformers import ViTConfig, ViTForImageClassification

images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(9))


def vit():
    torch.manual_seed(0)
    sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    return ViTForImageClassification(ViTConfig(**sizes, image_size=32, patch_size=16, num_labels=3)).eval()

def adapter(name, seed):
    """Saves an adapter with a head of its own, as trained with this seed, and returns its logits."""
    config = LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["classifier"])
    model = get_peft_model(vit(), config).eval()
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight))
    model.save_pretrained(name)
    return model(images).logits

def loaded():
    model = PeftModel.from_pretrained(vit(), "a", adapter_name="a")
    model.load_adapter("b", adapter_name="b")
    return model.eval()


def near(first, second):
    return torch.allclose(first, second, atol=1e-4)


with torch.no_grad():
    a, b = adapter("a", 1), adapter("b", 2)
    merged = loaded().merge_and_unload(adapter_names=["b"])
    active = loaded()
    active.set_adapter("b")
    chosen = active.merge_and_unload(adapter_names=["b"])
    in_place = loaded()
    in_place.merge_adapter(["b"])
    heads = [PeftModel.from_pretrained(vit(), name).unload().classifier.weight for name in ("a", "b")]
    same_head = [torch.equal(merged.classifier.weight, head) for head in heads]
    seen = [near(merged(images).logits, b), near(in_place(images).logits, b), near(chosen(images).logits, b)]
print("classifier of merge_and_unload(['b']) is a's, b's:", *same_head)
print("logits are b's after merge_and_unload, merge_adapter, set_adapter and merge_and_unload:", *seen)
print("logits are a's:", near(merged(images).logits, a))
if not (same_head == [True, False] and seen == [False, False, True] and not near(merged(images).logits, a)):
    raise SystemExit("PEFT no longer behaves as described")
PROGRAM
