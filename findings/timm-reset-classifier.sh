#!/bin/sh
# timm's reset_classifier does not give the head that create_model gives for the same number of classes.
#
# Versions: timm 1.0.31, torch 2.9.1, torchvision 0.24.1 (CPU).
# Valid input: create_model(name, num_classes=3) beside the same model after reset_classifier(3).
# Seen: the constructor's head has bias 0 and a deviation of 0.02 (ViT, DeiT) or 0.00002 (BEiT, EVA-02, DINOv3);
# after the reset it is torch.nn.Linear's default: 0.02 to 0.04 and random biases, for DINOv3 a thousand times wider.
# reset_classifier(3, global_pool="avg") leaves the last norm before pooling, so that its state_dict does not load into
# create_model(global_pool="avg"), which pools first and calls the norm fc_norm.
#
# For those who fine-tune: the first loss and the first gradients into LoRA depend on which of two usual calls made the
# head; give num_classes and global_pool to create_model, and keep them with the weights.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
export UV_CACHE_DIR="${UV_CACHE_DIR:-$dir/cache}" VIRTUAL_ENV="$dir/env"
"$dir/env/bin/uv" pip install --quiet torch==2.9.1 torchvision==0.24.1 timm==1.0.31

cd "$dir"
env/bin/python -W ignore - << 'PROGRAM'
import timm
import torch


def made(name, **options):
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=3, **options)


def head(model):
    linear = model.get_classifier()
    return linear.weight.std().item(), linear.bias.abs().max().item()


expected = {"vit_tiny_patch16_224": 0.02, "eva02_tiny_patch14_224": 2e-5, "vit_small_patch16_dinov3": 2e-5}
holds = True
for name, deviation in expected.items():
    model = made(name)
    weight, bias = head(model)
    model.reset_classifier(3)
    new_weight, new_bias = head(model)
    print(f"{name}: created {weight:.5f}, bias {bias:.5f}; reset {new_weight:.5f}, bias {new_bias:.5f}")
    holds &= abs(weight / deviation - 1) < 0.1 and bias == 0 and new_weight > 0.02 and new_bias > 0.01

reset = made("vit_tiny_patch16_224")
reset.reset_classifier(3, global_pool="avg")
names = set(reset.state_dict()), set(made("vit_tiny_patch16_224", global_pool="avg").state_dict())
print("only after the reset:", *sorted(names[0] - names[1]), "| only as created:", *sorted(names[1] - names[0]))
holds &= names[0] - names[1] == {"norm.weight", "norm.bias"}
holds &= names[1] - names[0] == {"fc_norm.weight", "fc_norm.bias"}
if not holds:
    raise SystemExit("timm no longer behaves as described")
PROGRAM
