"""The demo LoRA against drawn truth: stripes on the thing that its region names, and on no other."""

import comfy.hooks
import comfy.sd
import numpy as np
import pytest
import torch
from concept_attention.demo_model.flux import load_flux, load_stripes
from evaluate import Demo
from evaluate_lora import judge, pictures_of
from evaluate_regions import Case

SEEDS = (0, 1, 4)  # of prompts whose things the model paints both


@pytest.fixture(scope="module")
def demo():
    return Demo("flux")


@pytest.mark.long
@pytest.mark.parametrize("seed", SEEDS)
def test_it_stripes_the_thing_of_its_region_alone(demo, seed):
    """The other thing's mean colour changes by less than from one prompt to another where the same colour is asked for: some 0.02."""
    case = Case(demo, seed)
    hooks = comfy.hooks.create_hook_lora(load_stripes(), 1.0, 0.0)
    judged = [judge(case, picture) for picture in pictures_of(case, hooks)]
    (before, plain), (_, everywhere), (after, regional) = judged
    assert plain[0] == plain[1] == 0 and max(everywhere[:2]) > 0.1
    assert regional[0] > 0.1 and regional[1] < 0.01 and regional[2] > 0.95
    assert np.sqrt(((after - before) ** 2).mean()) < 0.02


def test_comfyuis_loader_takes_it_whole(caplog):
    """Every matrix of the file finds its own in the model: none is said to be left over, and those weights change."""
    model, weights = load_flux(), load_stripes()
    patched, _ = comfy.sd.load_lora_for_models(model, None, weights, 1.0, 0.0)
    assert len(patched.patches) == len(weights) / 2 and not caplog.records
    for name in patched.patches:
        before = model.model.state_dict()[name]
        after = patched.patch_weight_to_device(name, torch.device("cpu"), return_weight=True)
        expected = (
            before + weights[name.replace(".weight", ".lora_B.weight")].float() @ weights[name.replace(".weight", ".lora_A.weight")].float()
        )
        torch.testing.assert_close(after.float(), expected.float(), rtol=1e-2, atol=1e-2)
