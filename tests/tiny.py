"""Small models with random weights that go through ComfyUI's own loaders."""

import comfy.ldm.flux.model
import comfy.ops
import comfy.sd
import torch
import weights_recipe


def flux(heads=2, depth=3, single=1, context=64, pooled=32, seed=0, guidance=True, dtype=torch.float32):
    """A MODEL of ComfyUI's Flux class, from a state dict in the key names of published checkpoints."""
    skeleton = comfy.ldm.flux.model.Flux(
        in_channels=16, out_channels=16, vec_in_dim=pooled, context_in_dim=context, hidden_size=128 * heads, mlp_ratio=4.0,
        num_heads=heads, depth=depth, depth_single_blocks=single, axes_dim=[16, 56, 56], theta=10000, patch_size=2,
        qkv_bias=True, guidance_embed=guidance, txt_ids_dims=[], dtype=torch.float32, device="meta",
        operations=comfy.ops.disable_weight_init,
    )  # fmt: skip
    shapes = {name.replace("_norm.weight", "_norm.scale"): p.shape for name, p in skeleton.state_dict().items()}
    return comfy.sd.load_diffusion_model_state_dict(weights_recipe.fill(shapes, seed), model_options={"dtype": dtype})
