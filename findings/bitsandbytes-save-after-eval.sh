#!/bin/sh
# Saving a 4-bit model after an evaluation on a CPU changes both the file and the model: block maxima stay transposed in bfloat16.
#
# Versions: bitsandbytes 0.50.2, transformers 5.24.0, accelerate 1.15.0, peft 0.21.2, torch 2.15.0, on a CPU with AVX512-BF16;
# on another the script says that nothing can be seen.
# Valid input: a ViT of width 128 loaded with load_in_4bit (NF4, no double quantisation), saved, evaluated once in eval() and
# no_grad, saved again; the same with LoRA on top, where save_pretrained writes the adapter alone.
# Seen: the second file has the same codes, but each absmax is bfloat16 [columns / 64, rows], where the first has float32, flat
# by rows. The model computes other logits after the save than before it, and the second file, loaded, is that other model.
# Saving the adapter moves the logits as well, for it reads the state_dict of the whole model.
#
# For those who fine-tune: what is saved after an evaluation is not what was evaluated, and what goes on after an adapter was
# saved goes on over other frozen weights. Evaluate in a model loaded for it from the file, not in the one that trains.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
export UV_CACHE_DIR="${UV_CACHE_DIR:-$dir/cache}" VIRTUAL_ENV="$dir/env"
"$dir/env/bin/uv" pip install --quiet torch==2.15.0 bitsandbytes==0.50.2 transformers==5.24.0 accelerate==1.15.0 peft==0.21.2

cd "$dir"
env/bin/python -W ignore - << 'PROGRAM'
import torch
from bitsandbytes.functional import has_avx512bf16
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from transformers import BitsAndBytesConfig, ViTConfig, ViTForImageClassification

images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(9))
torch.manual_seed(0)
sizes = dict(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, intermediate_size=256)
ViTForImageClassification(ViTConfig(**sizes, image_size=32, patch_size=16, num_labels=5)).save_pretrained("plain")
packing = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", llm_int8_skip_modules=["classifier"])


def logits(model):
    with torch.no_grad():
        return model.eval()(images).logits


def packed():
    return ViTForImageClassification.from_pretrained("plain", quantization_config=packing, device_map="cpu")


def loaded(name):
    return logits(ViTForImageClassification.from_pretrained(name, device_map="cpu"))


def apart(first, second):
    return (first - second).abs().max().item()


model = packed()
model.save_pretrained("before")
evaluated = logits(model)
again = logits(model)
model.save_pretrained("after")
saved = logits(model)
adapted = get_peft_model(packed(), LoraConfig(r=2, target_modules=["q_proj"]))
adapter_evaluated = logits(adapted)
adapted.save_pretrained("adapter")
adapter_saved = logits(adapted)
before, after = load_file("before/model.safetensors"), load_file("after/model.safetensors")
changed = [name for name, value in before.items() if value.dtype != after[name].dtype or not value.equal(after[name])]
transposed = all(
    after[name].dtype == torch.bfloat16 and after[name].T.reshape(-1).equal(before[name].bfloat16()) for name in changed
)
maxima = [name for name in before if name.endswith(".absmax")]
moves = [apart(saved, evaluated), apart(loaded("after"), evaluated), apart(adapter_saved, adapter_evaluated)]
steady = [apart(again, evaluated), apart(loaded("before"), evaluated)]
print("off after the save: {:.3f}; the second file, loaded: {:.3f}; after an adapter's save: {:.3f}".format(*moves))
print("off in a second evaluation: {:.3f}; the first file, loaded: {:.3f}".format(*steady))
print(f"largest logit: {evaluated.abs().max():.3f}")
print(f"the files differ in {len(changed)} of {len(before)} tensors: absmax, {changed == maxima}; transposed, {transposed}")
if not has_avx512bf16() and not changed and max(moves) < 1e-4:
    print("This processor has no AVX512-BF16: nothing is changed here, and the behaviour cannot be seen.")
    raise SystemExit(0)
if not (has_avx512bf16() and changed == maxima and transposed and max(steady) < 1e-4 and min(moves) > 1e-2):
    raise SystemExit("bitsandbytes no longer behaves as described")
PROGRAM
