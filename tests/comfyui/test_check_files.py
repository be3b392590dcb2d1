"""What check/ finds in model folders: files of small and of full size, as ComfyUI's own loaders would take them."""

import comfy.clip_model
import comfy.model_detection
import comfy.ops
import comfy.sd
import comfy.supported_models
import comfy.text_encoders.t5
import comfy.utils
import folder_paths
import psutil
import pytest
import torch
from concept_attention.check import files
from concept_attention.check.parts import FAST, OF_FAMILY
from concept_attention.concept_core.families.registry import BY_KEY
from headers import save_header, shapes_of
from kinds import made

META = dict(dtype=torch.float16, device="meta", operations=comfy.ops.disable_weight_init)
BY_LOADER = {  # tiny models that ComfyUI's own detection knows at that size: this pack's key
    "flux": "flux",
    "sd3": "sd3",
    "flux2": "flux2",
    "ovis": "ovis-image",
    "longcat": "longcat-image",
    "krea2": "krea2",
    "hunyuan-image": "hunyuan-image",
    "hunyuan-video": "hunyuan-video",
    "hunyuan-video-1.5": "hunyuan-video-1.5",
    "cogvideox": "cogvideox",
    "wan": "wan",
}
FLUX_DEV = dict(
    in_channels=16, out_channels=16, vec_in_dim=768, context_in_dim=4096, hidden_size=3072, mlp_ratio=4.0, num_heads=24, depth=19,
    depth_single_blocks=38, axes_dim=[16, 56, 56], theta=10000, patch_size=2, qkv_bias=True, guidance_embed=True, txt_ids_dims=[],
)  # fmt: skip
OF_UNETS = dict(
    use_checkpoint=False, image_size=32, out_channels=4, use_spatial_transformer=True, legacy=False, in_channels=4, model_channels=320,
    use_temporal_attention=False, use_temporal_resblock=False, dtype=None,
)  # fmt: skip
SDXL = OF_UNETS | dict(
    num_classes="sequential", adm_in_channels=2816, num_res_blocks=[2, 2, 2], transformer_depth=[0, 0, 2, 2, 10, 10],
    channel_mult=[1, 2, 4], transformer_depth_middle=10, use_linear_in_transformer=True, context_dim=2048, num_head_channels=64,
    transformer_depth_output=[0, 0, 0, 2, 2, 2, 10, 10, 10],
)  # fmt: skip
REFINER = SDXL | dict(
    adm_in_channels=2560, model_channels=384, num_res_blocks=[2] * 4, transformer_depth=[0, 0, 4, 4, 4, 4, 0, 0], channel_mult=[1, 2, 4, 4],
    transformer_depth_middle=4, context_dim=1280, transformer_depth_output=[0, 0, 0, 4, 4, 4, 4, 4, 4, 0, 0, 0],
)  # fmt: skip
Z_IMAGE = dict(
    image_model="lumina2", patch_size=2, in_channels=16, cap_feat_dim=2560, n_layers=30, qk_norm=True, dim=3840, n_heads=30, n_kv_heads=30,
    axes_dims=[32, 48, 48], axes_lens=[1536, 512, 512], rope_theta=256.0, ffn_dim_multiplier=8.0 / 3.0, z_image_modulation=True,
    time_scale=1000.0, pad_tokens_multiple=32,
)  # fmt: skip
QWEN_IMAGE = dict(
    image_model="qwen_image", in_channels=64, num_layers=60, num_attention_heads=24, attention_head_dim=128, joint_attention_dim=3584
)
T5_XXL = dict(
    model_type="t5", vocab_size=32128, d_model=4096, d_kv=64, num_heads=64, d_ff=10240, num_layers=24, dense_act_fn="gelu_pytorch_tanh",
    is_gated_act=True,
)  # fmt: skip
CLIP_L = dict(
    hidden_act="quick_gelu", hidden_size=768, intermediate_size=3072, max_position_embeddings=77, num_attention_heads=12,
    num_hidden_layers=12, eos_token_id=49407, vocab_size=49408,
)  # fmt: skip
AE, SD3_VAE, XL_VAE = ({"decoder.conv_in.weight": (512, channels, 3, 3)} for channels in (16, 16, 4))


@pytest.fixture
def folders(tmp_path, monkeypatch):
    """ComfyUI's model folders, empty."""
    for name in ("checkpoints", "diffusion_models", "text_encoders", "vae"):
        (tmp_path / name).mkdir()
        monkeypatch.setitem(folder_paths.folder_names_and_paths, name, ([str(tmp_path / name)], folder_paths.supported_pt_extensions))
    folder_paths.filename_list_cache.clear()
    yield tmp_path
    folder_paths.filename_list_cache.clear()


def full_size(kind, config):
    """name → shape of ComfyUI's own network at its full size."""
    return shapes_of(getattr(comfy.supported_models, kind)(config).get_model({}, "", device=torch.device("meta")).diffusion_model)


def flux_dev():
    from comfy.ldm.flux.model import Flux

    return {name.replace("_norm.weight", "_norm.scale"): shape for name, shape in shapes_of(Flux(**FLUX_DEV, **META)).items()}


def save_encoders(folder, *names):
    clip = {"text_model." + name: shape for name, shape in shapes_of(comfy.clip_model.CLIPTextModel_(CLIP_L, **META)).items()}
    t5 = shapes_of(comfy.text_encoders.t5.T5(T5_XXL, **META))
    all_of_them = {"clip_l": clip, "t5": t5, "umt5": t5 | {"shared.weight": (256384, 4096)}}
    for name in names:
        save_header(all_of_them[name], folder / "text_encoders" / f"my {name}.safetensors", size=1)


def there():
    return {model.file.name: model for model in files.models_there()}


def test_every_family_has_its_parts():
    """So a new one needs a line here."""
    assert set(OF_FAMILY) == set(BY_KEY)
    known = {kind.name for kind in comfy.sd.TEModel} | {"UMT5_XXL"}
    unknown = {kind for parts in OF_FAMILY.values() for encoder in parts.encoders for kind in encoder.kinds} - known
    assert unknown <= {"QWEN3VL_4B", "QWEN3_06B", "QWEN3_2B"} and not (unknown and "QWEN3VL_4B" in known)


@pytest.mark.parametrize("name", BY_LOADER)
def test_small_files_are_told_by_their_headers(name, folders):
    kind = made(name)
    file = folders / "diffusion_models" / f"{name}.safetensors"
    comfy.utils.save_torch_file(kind.model.model.state_dict_for_saving(kind.model.model.diffusion_model.state_dict()), str(file))
    (found,) = files.models_there()
    assert (found.family, found.width, found.channels) == (BY_LOADER[name], kind.concepts.embeddings.shape[1], kind.channels)
    assert found.why_not.startswith("missing: ") and OF_FAMILY[found.family].vae.file in found.why_not


def test_full_size_files_and_what_they_lack(folders):
    """Flux dev, Z-Image and SDXL as large as they are, none of which would fit into memory here together."""
    save_header(flux_dev(), folders / "diffusion_models" / "flux1-dev.safetensors")
    save_header(full_size("ZImage", Z_IMAGE), folders / "diffusion_models" / "z_image_turbo_bf16.safetensors")
    save_header(full_size("QwenImage", QWEN_IMAGE), folders / "diffusion_models" / "qwen_image.safetensors", size=1)
    unet = comfy.model_detection.convert_config(dict(SDXL))
    save_header(full_size("SDXL", unet), folders / "checkpoints" / "sd_xl_base.safetensors", prefix="model.diffusion_model.")
    save_header(AE, folders / "vae" / "ae.safetensors")
    save_header(SD3_VAE, folders / "vae" / "sd3_vae.safetensors")
    save_header(XL_VAE, folders / "vae" / "flux_but_of_four_channels.safetensors")
    save_encoders(folders, "clip_l", "umt5")
    before = psutil.Process().memory_info().rss
    found = there()
    assert psutil.Process().memory_info().rss - before < 2 << 30 < sum(path.stat().st_size for path in folders.rglob("*.safetensors")) / 20
    assert {name: model.family for name, model in found.items()} == {
        "flux1-dev.safetensors": "flux", "z_image_turbo_bf16.safetensors": "z-image", "qwen_image.safetensors": "qwen-image",
        "sd_xl_base.safetensors": "sdxl",
    }  # fmt: skip
    flux, z_image, sdxl = (found[name] for name in ("flux1-dev.safetensors", "z_image_turbo_bf16.safetensors", "sd_xl_base.safetensors"))
    assert flux.why_not == "missing: the text encoder T5-XXL (t5xxl_fp16.safetensors in ComfyUI's templates)"
    assert [path.name for path in flux.encoders] == ["my clip_l.safetensors"] and flux.vae.name == "ae.safetensors"
    assert "Qwen3-4B" in z_image.why_not and z_image.vae.name == "ae.safetensors"
    assert "CLIP-G" in sdxl.why_not and "sdxl_vae.safetensors" in sdxl.why_not
    save_encoders(folders, "t5")
    folder_paths.filename_list_cache.clear()
    flux = there()["flux1-dev.safetensors"]
    assert flux.why_not == "" and [path.name for path in flux.encoders] == ["my clip_l.safetensors", "my t5.safetensors"]


def test_a_whole_checkpoint_needs_nothing(folders):
    shapes = {
        "model.diffusion_model." + name: shape
        for name, shape in full_size("SDXL", comfy.model_detection.convert_config(dict(SDXL))).items()
    }
    shapes |= {"conditioner.embedders.0.transformer.x": (4, 4), "first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)}
    save_header(shapes, folders / "checkpoints" / "sd_xl_turbo.safetensors")
    (found,) = files.models_there()
    assert (found.family, found.why_not, found.has_text, found.has_vae) == ("sdxl", "", True, True)
    assert found.encoders == [] and found.vae is None


def test_what_is_none_of_them_is_said(folders):
    refiner = full_size("SDXLRefiner", comfy.model_detection.convert_config(dict(REFINER)))
    save_header(refiner, folders / "checkpoints" / "refiner.safetensors", prefix="model.diffusion_model.")
    save_header({"lora_up.weight": (4, 4)}, folders / "checkpoints" / "lora.safetensors")
    (folders / "checkpoints" / "broken.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0nothing")
    (folders / "diffusion_models" / "old.ckpt").write_bytes(b"x")
    why = {name: model.why_not for name, model in there().items()}
    assert "does not know the model family SDXLRefiner" in why["refiner.safetensors"]
    assert why["lora.safetensors"] == "ComfyUI does not know what model it is"
    assert why["broken.safetensors"].startswith("it cannot be read")
    assert why["old.ckpt"] == "only .safetensors files are looked into, and this is .ckpt"


@pytest.mark.parametrize("name", ["flux1-schnell", "z_image_turbo_bf16", "flux-2-klein-4b", "qwen_4steps", "sdxl_lightning_8step"])
def test_models_for_few_steps_are_told_by_their_names(name):
    assert FAST.search(name)


@pytest.mark.parametrize("name", ["flux1-dev", "z_image_bf16", "flux-2-klein-base-4b", "sd3.5_large"])
def test_and_others_are_not(name):
    assert not FAST.search(name)
