"""Other nodes' patches for the tiny models: a LoRA and a ControlNet of random weights."""

import comfy.cldm.mmdit
import comfy.controlnet
import comfy.latent_formats
import comfy.ldm.flux.controlnet
import comfy.model_management
import comfy.ops
import torch


def lora(model):
    """A LoRA on every weight of the second block's attention."""
    weights = {}
    for seed, (name, weight) in enumerate(model.model.state_dict().items()):
        if ".1." in name and ("attn" in name or "attention" in name) and weight.ndim == 2:
            generator, key = torch.Generator().manual_seed(seed), name.removesuffix(".weight")
            weights[f"{key}.lora_up.weight"] = torch.randn(weight.shape[0], 4, generator=generator) / 2
            weights[f"{key}.lora_down.weight"] = torch.randn(4, weight.shape[1], generator=generator) / weight.shape[1] ** 0.5
    return weights


def control_net(kind):
    loaded = comfy.model_management.current_loaded_models  # where a ControlNet's VAE is used, ComfyUI loads all of these again
    loaded[:] = [each for each in loaded if each.model is not None]  # what a test before let go is not there any more
    torch.manual_seed(0)
    operations = {"operations": comfy.ops.manual_cast, "dtype": torch.float32}
    if kind.name == "sd3":
        network = comfy.cldm.mmdit.ControlNet(
            num_blocks=2, control_latent_channels=16, input_size=None, in_channels=16, depth=3, adm_in_channels=32,
            context_embedder_config={"target": "torch.nn.Linear", "params": {"in_features": 64, "out_features": 192}}, **operations
        )  # fmt: skip
        latent_format, extra = comfy.latent_formats.SD3(), {}
    else:
        network = comfy.ldm.flux.controlnet.ControlNetFlux(
            latent_input=True, control_latent_channels=16, in_channels=16, out_channels=16, vec_in_dim=32, context_in_dim=64,
            hidden_size=256, mlp_ratio=4.0, num_heads=2, depth=2, depth_single_blocks=0, axes_dim=[16, 56, 56], theta=10000,
            patch_size=2, qkv_bias=True, guidance_embed=True, txt_ids_dims=[], **operations
        )  # fmt: skip
        latent_format, extra = comfy.latent_formats.Flux(), {"extra_conds": ["y", "guidance"]}
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3 / max(1, parameter[0].numel()) ** 0.5)
    return comfy.controlnet.ControlNet(
        network, compression_ratio=1, latent_format=latent_format, load_device=comfy.model_management.get_torch_device(), **extra
    )
