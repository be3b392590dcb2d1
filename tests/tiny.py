"""Small models with random weights that go through ComfyUI's own loaders."""

import importlib
import inspect
import io

import comfy.clip_model
import comfy.ldm.chroma_radiance.model
import comfy.ldm.flux.model
import comfy.ldm.hunyuan_video.model
import comfy.ldm.modules.diffusionmodules.mmdit
import comfy.ldm.wan.model
import comfy.ldm.wan.vae
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.sd1_clip
import comfy.sdxl_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.text_encoders.sd2_clip
import comfy.text_encoders.sd3_clip
import comfy.text_encoders.t5
import pytest
import sentencepiece
import tokenizers
import torch
import transformers
import weights_recipe
from comfy.model_management import get_torch_device
from comfy.text_encoders.sd3_clip import SD3Tokenizer
from concept_attention.demo_model import text_encoders


def flux(heads=2, depth=3, single=1, context=64, pooled=32, seed=0, guidance=True, channels=16, dtype=torch.float32):
    """A MODEL of ComfyUI's Flux class, from a state dict in the key names of published checkpoints."""
    skeleton = comfy.ldm.flux.model.Flux(
        in_channels=channels, out_channels=16, vec_in_dim=pooled, context_in_dim=context, hidden_size=128 * heads, mlp_ratio=4.0,
        num_heads=heads, depth=depth, depth_single_blocks=single, axes_dim=[16, 56, 56], theta=10000, patch_size=2,
        qkv_bias=True, guidance_embed=guidance, txt_ids_dims=[], dtype=torch.float32, device="meta",
        operations=comfy.ops.disable_weight_init,
    )  # fmt: skip
    shapes = {name.replace("_norm.weight", "_norm.scale"): p.shape for name, p in skeleton.state_dict().items()}
    return _load(weights_recipe.fill(shapes, seed), dtype)


def flux2(heads=2, depth=3, single=1, context=64, seed=0, guidance=False):
    """A MODEL of Flux.2, in the key names of published checkpoints; without guidance, as Klein."""
    shapes = weights_recipe.flux2_shapes(128 * heads, depth, single, context, guidance)
    return _load(weights_recipe.fill(shapes, seed), torch.float32)


def ovis():
    """A MODEL of Ovis-Image, which is ComfyUI's Flux class with a norm of the text and numbered text tokens."""
    return _load(_filled(_flux_like(context_in_dim=64, txt_ids_dims=[1, 2], yak_mlp=True, txt_norm=True)), torch.float32)


def longcat():
    """A MODEL of LongCat-Image, told from others by the width of its text."""
    return _load(_filled(_flux_like(context_in_dim=3584, txt_ids_dims=[1, 2])), torch.float32)


def _flux_like(**changes):
    options = dict(
        in_channels=16, out_channels=16, vec_in_dim=None, hidden_size=256, mlp_ratio=4.0, num_heads=2, depth=3, depth_single_blocks=1,
        axes_dim=[16, 56, 56], theta=10000, patch_size=2, qkv_bias=True, guidance_embed=False,
    )  # fmt: skip
    operations = comfy.ops.disable_weight_init
    return comfy.ldm.flux.model.Flux(**{**options, **changes}, dtype=torch.float32, device="meta", operations=operations)


def hunyuan_image():
    """A MODEL of HunyuanImage 2.1, without guidance."""
    return _hunyuan(in_channels=64, out_channels=64, context_in_dim=3584, axes_dim=[64, 64], patch_size=[1, 1], byt5=True)


def hunyuan_video():
    """A MODEL of HunyuanVideo, without guidance."""
    sizes = dict(in_channels=16, out_channels=16, context_in_dim=4096, axes_dim=[16, 56, 56], patch_size=[1, 2, 2])
    return _hunyuan(vec_in_dim=768, byt5=False, **sizes)


def hunyuan_video_15(context=3584):
    """A MODEL of HunyuanVideo 1.5, whose joint blocks go to the end and whose text has an embedding for its kind."""
    sizes = dict(in_channels=65, out_channels=32, context_in_dim=context, axes_dim=[16, 56, 56], patch_size=[1, 1, 1])
    return _hunyuan(
        depth_single_blocks=0, use_cond_type_embedding=True, vision_in_dim=1152, meanflow_sum=True, byt5=True, **sizes
    )  # fmt: skip


def _hunyuan(**changes):
    options = dict(
        vec_in_dim=None, hidden_size=256, mlp_ratio=4.0, num_heads=2, depth=3, depth_single_blocks=1, theta=256, qkv_bias=True,
        guidance_embed=False, meanflow=False, meanflow_sum=False, use_cond_type_embedding=False, vision_in_dim=None,
    )  # fmt: skip
    operations = comfy.ops.disable_weight_init
    skeleton = comfy.ldm.hunyuan_video.model.HunyuanVideo(
        **{**options, **changes}, dtype=torch.float32, device="meta", operations=operations
    )  # fmt: skip
    return _load(_filled(skeleton), torch.float32)


def wan(kind="t2v", channels=16, reference=None, made=16, seed=0):
    """A MODEL of Wan; kind i2v: 2.1's of pictures, which attends to one apart; vace: with blocks of its own beside.
    reference: channels of a reference latent that its tokens begin with. made: channels of its latents; 48 in Wan 2.2 5B."""
    options = dict(
        patch_size=(1, 2, 2), in_dim=channels, dim=256, ffn_dim=256, freq_dim=256, text_dim=4096, out_dim=made, num_heads=2, num_layers=3,
        qk_norm=True, cross_attn_norm=True,
    )  # fmt: skip
    of_skeleton = dict(dtype=torch.float32, device="meta", operations=comfy.ops.disable_weight_init)
    if kind == "vace":
        options["num_layers"] = 4  # ComfyUI wants a multiple of vace_layers
        skeleton = comfy.ldm.wan.model.VaceWanModel(**options, vace_layers=2, vace_in_dim=96, **of_skeleton)
    else:
        skeleton = comfy.ldm.wan.model.WanModel(model_type=kind, in_dim_ref_conv=reference, **options, **of_skeleton)
    return _load(_filled(skeleton, seed), torch.float32)


def wan_vae():
    """A VAE of Wan 2.1's class, whose width ComfyUI's loader reads from the file."""
    options = dict(dim=8, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[], temperal_downsample=[False, True, True])
    return comfy.sd.VAE(sd=_filled(comfy.ldm.wan.vae.WanVAE(**options)))


def wan22_vae():
    """A VAE of Wan 2.2 5B's class at a twentieth of its width."""
    network = of_comfyui("comfy.ldm.wan.vae2_2").WanVAE
    options = dict(dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[], temperal_downsample=[False, True, True], z_dim=48)
    width = dict(dim=8, dec_dim=8)
    return _narrow_vae({"comfy.ldm.wan.vae2_2.WanVAE": width}, network(**options, **width))


def hunyuan_video_15_vae():
    """A VAE of HunyuanVideo 1.5's class at a fourth of its width or less."""
    name = "comfy.ldm.hunyuan_video.vae_refiner"
    parts, width = of_comfyui(name), dict(block_out_channels=[32, 32, 64, 64, 64])
    options = dict(in_channels=3, out_channels=3, z_channels=32, num_res_blocks=2, ffactor_spatial=16, ffactor_temporal=4, **width)
    network = torch.nn.ModuleDict({"encoder": parts.Encoder(**options), "decoder": parts.Decoder(**options)})
    return _narrow_vae({f"{name}.Encoder": width, f"{name}.Decoder": width}, network)


def _narrow_vae(changes, skeleton):
    """A VAE from ComfyUI's loader, which takes the width of some classes for granted. changes: class → options that it gets instead."""
    with pytest.MonkeyPatch.context() as patch:
        for name, options in changes.items():
            module, kind = name.rsplit(".", 1)
            patch.setattr(name, _with(getattr(importlib.import_module(module), kind), options))
        return comfy.sd.VAE(sd=_filled(skeleton))


def _with(kind, options):
    return lambda **given: kind(**{**given, **options})


def ltx():
    """A MODEL of LTX-Video."""
    config = dict(in_channels=128, cross_attention_dim=128, attention_head_dim=32, num_attention_heads=4, caption_channels=64, num_layers=3)
    return _undetected("LTXV", image_model="ltxv", **config)


def ltx2():
    """A MODEL of LTX-2, which is not supported."""
    of_comfyui("comfy.ldm.lightricks.av_model")
    video = dict(in_channels=128, cross_attention_dim=64, attention_head_dim=32, num_attention_heads=2, caption_channels=64, num_layers=1)
    audio = dict(audio_cross_attention_dim=64, audio_attention_head_dim=32, audio_num_attention_heads=2)
    connectors = dict(connector_attention_head_dim=32, connector_num_attention_heads=2, connector_num_layers=1)
    return _undetected("LTXAV", image_model="ltxav", **video, **audio, **connectors)


def cogvideox(depth=3, context=64, seed=0, channels=16, patch_frames=None):
    """A MODEL of CogVideoX; patch_frames: 2 for 1.5. channels: 32 for image to video."""
    of_comfyui("comfy.ldm.cogvideo.model")
    shapes = weights_recipe.cogvideox_shapes(128, depth, 64, context, channels, patch_frames)
    return _load(weights_recipe.fill(shapes, seed), torch.float32)


def qwen_image():
    config = dict(in_channels=64, num_layers=3, num_attention_heads=2, attention_head_dim=128, joint_attention_dim=64)
    return _undetected("QwenImage", image_model="qwen_image", **config)


CHROMA = dict(
    context_in_dim=64, hidden_size=256, mlp_ratio=4.0, num_heads=2, depth=3, depth_single_blocks=1, axes_dim=[16, 56, 56], theta=10000,
    qkv_bias=True, in_dim=64, out_dim=256, hidden_dim=64, n_layers=2, txt_ids_dims=[], vec_in_dim=None,
)  # fmt: skip


def chroma():
    return _undetected("Chroma", image_model="chroma", in_channels=64, out_channels=64, patch_size=2, **CHROMA)


def radiance():
    """A MODEL of Chroma Radiance, which paints pixels; its text tokens are numbered where ComfyUI knows that of it."""
    numbered = "use_sequential_txt_ids" in inspect.signature(comfy.ldm.chroma_radiance.model.ChromaRadianceParams).parameters
    return _undetected(
        "ChromaRadiance", image_model="chroma_radiance", in_channels=3, out_channels=3, patch_size=16, nerf_hidden_size=16,
        nerf_mlp_ratio=4, nerf_depth=1, nerf_max_freqs=8, nerf_tile_size=512, nerf_final_head_type="linear",
        nerf_embedder_dtype=torch.float32, use_x0=False, **({"use_sequential_txt_ids": True} if numbered else {}), **CHROMA,
    )  # fmt: skip


NEXT_DIT = dict(image_model="lumina2", patch_size=2, in_channels=16, cap_feat_dim=64, n_layers=3, qk_norm=True)


def z_image(**more):
    return _undetected(
        "ZImage", dim=256, n_heads=2, n_kv_heads=2, axes_dims=[32, 48, 48], axes_lens=[1536, 512, 512], rope_theta=256.0,
        ffn_dim_multiplier=8 / 3, z_image_modulation=True, time_scale=1000.0, pad_tokens_multiple=32, **NEXT_DIT, **more,
    )  # fmt: skip


def lumina2():
    return _undetected(
        "Lumina2", dim=384, n_heads=4, n_kv_heads=2, axes_dims=[32, 32, 32], axes_lens=[300, 512, 512], rope_theta=10000.0,
        ffn_dim_multiplier=4.0, **NEXT_DIT,
    )  # fmt: skip


def krea2(**more):
    of_comfyui("comfy.ldm.krea2.model")
    return _undetected(
        "Krea2", image_model="krea2", features=512, heads=4, kvheads=2, layers=3, tdim=256, txtdim=80, txtlayers=12, txtheads=20,
        txtkvheads=20, **more,
    )  # fmt: skip


UNET = dict(
    image_size=32, in_channels=4, out_channels=4, model_channels=32, use_checkpoint=False, use_spatial_transformer=True, legacy=False,
    use_temporal_attention=False, use_temporal_resblock=False, context_dim=64,
)  # fmt: skip
FOUR_LEVELS = dict(
    channel_mult=[1, 2, 4, 4], num_res_blocks=[2] * 4, transformer_depth=[1] * 6 + [0] * 2,
    transformer_depth_output=[1] * 9 + [0] * 3, transformer_depth_middle=1, adm_in_channels=None,
)  # fmt: skip
THREE_LEVELS = dict(
    channel_mult=[1, 2, 4], num_res_blocks=[2] * 3, transformer_depth=[0, 0, 1, 1, 2, 2],
    transformer_depth_output=[0, 0, 0, 1, 1, 1, 2, 2, 2], transformer_depth_middle=2,
)  # fmt: skip


def sd15(seed=0):
    """A MODEL of ComfyUI's U-Net at a tenth of the width."""
    return unet("SD15", seed, num_heads=4, num_head_channels=-1, use_linear_in_transformer=False, **FOUR_LEVELS)


def sd2(seed=0):
    return unet("SD20", seed, num_heads=-1, num_head_channels=16, use_linear_in_transformer=True, **FOUR_LEVELS)


def sdxl(seed=0, context=64, pooled=32):
    """Of sdxl_clip with its width for both."""
    options = dict(num_heads=-1, num_head_channels=16, use_linear_in_transformer=True, num_classes="sequential")
    return unet("SDXL", seed, **options, **THREE_LEVELS, context_dim=context, adm_in_channels=pooled + 1536)


def unet(kind, seed=0, *, num_heads, num_head_channels, **shape):
    class Tiny(getattr(comfy.supported_models, kind)):
        unet_extra_config = dict(num_heads=num_heads, num_head_channels=num_head_channels)

    return _made(Tiny({**UNET, **shape}), weights_recipe.fill_unet, seed)


DIT = dict(
    max_img_h=240, max_img_w=240, max_frames=128, in_channels=16, out_channels=16, patch_spatial=2, patch_temporal=1, model_channels=128,
    num_blocks=3, num_heads=2, concat_padding_mask=True, crossattn_emb_channels=64, pos_emb_cls="rope3d", use_adaln_lora=True,
    adaln_lora_dim=32, rope_enable_fps_modulation=False,
)  # fmt: skip


def cosmos():
    return _undetected("CosmosT2IPredict2", image_model="cosmos_predict2", **DIT)


def anima():
    """A MODEL of Anima with a small adapter: the class's own has 136 million weights."""
    adapter = of_comfyui("comfy.ldm.anima.model").LLMAdapter
    small = dict(source_dim=64, target_dim=64, model_dim=64, num_layers=2, num_heads=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("comfy.ldm.anima.model.LLMAdapter", lambda **options: adapter(**small, **options))
        return _undetected("Anima", image_model="anima", **DIT)


def aura_flow():
    """A MODEL of a family that is not supported."""
    return _undetected("AuraFlow", cond_seq_dim=64, dim=128, n_layers=3, n_double_layers=2, n_heads=1, global_conddim=128, max_seq=64)


def _undetected(kind, dtype=torch.float32, **config):
    """A MODEL of ComfyUI's own class for it; at this size its loader would not know the state dict."""
    return _made(getattr(comfy.supported_models, kind)(config), dtype=dtype)


def _made(config, fill=weights_recipe.fill, seed=0, dtype=torch.float32):
    config.set_inference_dtype(dtype, None if dtype == torch.float32 else torch.float32)
    model = config.get_model({}, "", device="cpu")
    weights = fill({name: p.shape for name, p in model.diffusion_model.state_dict().items()}, seed)
    model.diffusion_model.load_state_dict(weights, strict=False)
    model.memory_usage_factor = 0.0
    return comfy.model_patcher.ModelPatcher(model, load_device=get_torch_device(), offload_device=torch.device("cpu"))


def sd3(depth=3, context=64, pooled=32, seed=0, norms=True, second_attention=(), positions=None, dtype=torch.float32):
    """A MODEL of ComfyUI's MMDiT class with `depth` blocks of width 64 · depth.

    norms: of queries and keys, as in SD3.5. second_attention: the blocks that have one, as in SD3.5 medium.
    positions: edge of a stored position table, as in published checkpoints; without one positions are computed.
    """
    skeleton = comfy.ldm.modules.diffusionmodules.mmdit.MMDiT(
        input_size=None, in_channels=16, depth=depth, adm_in_channels=pooled, qk_norm="rms" if norms else None,
        pos_embed_max_size=positions, num_patches=positions and positions**2, x_block_self_attn_layers=list(second_attention),
        context_embedder_config={"target": "torch.nn.Linear", "params": {"in_features": context, "out_features": 64 * depth}},
        dtype=torch.float32, device="meta", operations=comfy.ops.disable_weight_init,
    )  # fmt: skip
    return _load(_filled(skeleton, seed), dtype)


def clip_l(tokenizer=comfy.sd1_clip.SD1Tokenizer):
    """A CLIP of the Stable Diffusion 1 type: CLIP-L alone."""
    weights = text_encoders.random_weights(comfy.clip_model.CLIPTextModel, text_encoders.CLIP_L_CONFIG)
    target = comfy.supported_models_base.ClipTarget(tokenizer, comfy.sd1_clip.SD1ClipModel)
    return comfy.sd.CLIP(target, state_dict=[weights], model_options={"clip_l_model_config": text_encoders.CLIP_L_CONFIG})


THREE_LAYERS = {**text_encoders.CLIP_L_CONFIG, "num_hidden_layers": 3}  # the last but one is read


def clip_h():
    """A CLIP of the Stable Diffusion 2 type."""
    weights = text_encoders.random_weights(comfy.clip_model.CLIPTextModel, THREE_LAYERS)
    target = comfy.supported_models_base.ClipTarget(comfy.text_encoders.sd2_clip.SD2Tokenizer, comfy.text_encoders.sd2_clip.SD2ClipModel)
    return comfy.sd.CLIP(target, state_dict=[weights], model_options={"clip_h_model_config": THREE_LAYERS})


def sdxl_clip():
    """A CLIP of the SDXL type, of CLIP-L and CLIP-G."""
    config = THREE_LAYERS
    weights = text_encoders.random_weights(comfy.clip_model.CLIPTextModel, config)
    target = comfy.supported_models_base.ClipTarget(comfy.sdxl_clip.SDXLTokenizer, comfy.sdxl_clip.SDXLClipModel)
    clip = comfy.sd.CLIP(target, state_dict=[weights], model_options={"clip_l_model_config": config, "clip_g_model_config": config})
    clip.cond_stage_model.clip_g.load_sd(weights)  # told from CLIP-L by its depth
    return clip


def sd3_clip(clip=True):
    """A CLIP of the SD3 type with T5 of a small vocabulary, and with CLIP-L and CLIP-G or without."""
    config = {**text_encoders.T5_CONFIG, "d_model": 4096, "vocab_size": 300, "d_ff": 64}
    weights = _with_prefix("t5xxl.", text_encoders.random_weights(comfy.text_encoders.t5.T5, config))
    options = {"t5xxl_model_config": config}
    if clip:
        for part, part_config in [("clip_l", text_encoders.SD3_CLIP_L_CONFIG), ("clip_g", text_encoders.SD3_CLIP_G_CONFIG)]:
            weights |= _with_prefix(f"{part}.", text_encoders.random_weights(comfy.clip_model.CLIPTextModel, part_config))
            options[f"{part}_model_config"] = part_config
    target = comfy.supported_models_base.ClipTarget(SD3Tokenizer, comfy.text_encoders.sd3_clip.sd3_clip(clip_l=clip, clip_g=clip))
    lengths = {"clip_l_max_length": text_encoders.PROMPT_LENGTH, "clip_g_max_length": text_encoders.PROMPT_LENGTH}
    return comfy.sd.CLIP(target, state_dict=weights, tokenizer_data=lengths, model_options=options)


def _with_prefix(prefix, weights):
    return {f"{prefix}transformer.{name}": tensor for name, tensor in weights.items()}


def _load(weights, dtype):
    """A MODEL that says of itself that it needs no memory.

    ComfyUI runs positive and negative in one call only while enough is free, which on a busy machine changes in mid-test. Either way
    is right, and their last bits differ.
    """
    model = comfy.sd.load_diffusion_model_state_dict(weights, model_options={"dtype": dtype})
    model.model.memory_usage_factor = 0.0
    return model


def _filled(skeleton, seed=0):
    return weights_recipe.fill({name: p.shape for name, p in skeleton.state_dict().items()}, seed)


def language_model_clip(name):
    """A CLIP whose text encoder is a small language model behind ComfyUI's own tokenizer and template."""
    key, layers, module, tokenizer, options = {
        "klein": ("qwen3_4b", 28, "flux", "KleinTokenizer", {}),  # the hidden states of three layers
        "mistral": ("mistral3_24b", 31, "flux", "Flux2Tokenizer", {}),
        "z-image": ("qwen3_4b", 4, "z_image", "ZImageTokenizer", {}),
        "krea2": ("qwen3vl_4b", 36, "krea2", "Krea2Tokenizer", {}),  # of twelve layers
        "anima": ("qwen3_06b", 4, "anima", "AnimaTokenizer", {}),
        "lumina2": ("gemma2_2b", 4, "lumina2", "LuminaTokenizer", {"model_type": "gemma2_2b"}),
        "qwen-image": ("qwen25_7b", 4, "qwen_image", "QwenImageTokenizer", {}),
        "ovis": ("qwen3_2b", 4, "ovis", "OvisTokenizer", {}),
        "longcat": ("qwen25_7b", 4, "longcat_image", "LongCatImageTokenizer", {}),
        "hunyuan-image": ("qwen25_7b", 4, "hunyuan_image", "HunyuanImageTokenizer", {"byt5": False}),
        "hunyuan-video": ("llama", 4, "hunyuan_video", "HunyuanVideoTokenizer", {}),
        "hunyuan-video-1.5": ("qwen25_7b", 4, "hunyuan_video", "HunyuanVideo15Tokenizer", {"byt5": False}),
    }[name]
    module = of_comfyui(f"comfy.text_encoders.{module}")
    tokenizer = getattr(module, tokenizer)
    model = {"klein": "klein_te", "mistral": "flux2_te", "hunyuan-video": "hunyuan_video_clip"}.get(name, "te")
    if name == "hunyuan-video-1.5":
        module = of_comfyui("comfy.text_encoders.hunyuan_image")
    model = getattr(module, model)(**options)
    config = dict(hidden_size=64, intermediate_size=64, num_attention_heads=1, num_key_value_heads=1, num_hidden_layers=layers)
    if name in ("mistral", "lumina2"):
        config["vocab_size"] = 256 + len(MARKS)
    target = comfy.supported_models_base.ClipTarget(tokenizer, model)
    vocabularies = {"mistral3_24b_tokenizer_class": MistralTokenizer, "gemma2_2b_tokenizer_class": GemmaTokenizer}
    clip = comfy.sd.CLIP(
        target,
        tokenizer_data=vocabularies,
        model_options={f"{key}_model_config": config, "clip_l_model_config": text_encoders.CLIP_L_CONFIG},
    )
    language_model = getattr(clip.cond_stage_model, key).transformer.model
    shapes = {name: parameter.shape for name, parameter in language_model.state_dict().items()}
    language_model.load_state_dict(weights_recipe.fill(shapes, 0))
    return clip


def wan_clip(width=64):
    """A CLIP of Wan's type: a small umT5 behind a small vocabulary of SentencePiece's own, which comes within checkpoints."""
    module = of_comfyui("comfy.text_encoders.wan")
    letters, vocabulary = [f"a {text} on the {text}" for text in SPELLED], io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(letters), model_writer=vocabulary, vocab_size=60, pad_id=0, eos_id=1, unk_id=2, bos_id=-1,
        hard_vocab_limit=False, minloglevel=2,
    )  # fmt: skip
    config = {**text_encoders.T5_CONFIG, "d_model": width, "vocab_size": 300, "d_ff": 64, "model_type": "umt5"}
    data = {"spiece_model": torch.frombuffer(bytearray(vocabulary.getvalue()), dtype=torch.uint8)}
    target = comfy.supported_models_base.ClipTarget(module.WanT5Tokenizer, module.te())
    clip = comfy.sd.CLIP(target, tokenizer_data=data, model_options={"umt5xxl_model_config": config})
    encoder = clip.cond_stage_model.umt5xxl.transformer
    encoder.load_state_dict(weights_recipe.fill({name: p.shape for name, p in encoder.state_dict().items()}, 0))
    return clip


SPELLED = ["dog", "cat", "red car", "grass", "sky", "zebra", "quick fox", "jumping vw bus", "hyx"]
MARKS = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"]


class Bytes:
    """In the place of a vocabulary that comes within checkpoints, Mistral's or Gemma's: a token for each byte, and a template's marks."""

    @staticmethod
    def from_pretrained(path):
        letters = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
        made = tokenizers.Tokenizer(tokenizers.models.BPE({letter: i for i, letter in enumerate(MARKS + letters)}, []))
        made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
        made.decoder = tokenizers.decoders.ByteLevel()
        made.add_special_tokens(MARKS)
        return transformers.PreTrainedTokenizerFast(tokenizer_object=made)


class MistralTokenizer(comfy.sd1_clip.SDTokenizer):
    """As ComfyUI's, but for the vocabulary."""

    def __init__(self, embedding_directory=None, tokenizer_data={}):
        super().__init__(**OF_BYTES, embedding_size=5120, embedding_key="mistral3_24b", pad_token=11, start_token=1, pad_left=True)


class GemmaTokenizer(comfy.sd1_clip.SDTokenizer):
    """As ComfyUI's, but for the vocabulary."""

    def __init__(self, embedding_directory=None, tokenizer_data={}):
        options = OF_BYTES | {"disable_weights": False}
        super().__init__(**options, embedding_size=2304, embedding_key="gemma2_2b", start_token=2)


OF_BYTES = dict(
    tokenizer_path="", pad_with_end=False, tokenizer_class=Bytes, has_end_token=False, pad_to_max_length=False, max_length=99999999,
    min_length=1, disable_weights=True,
)  # fmt: skip


def of_comfyui(module: str):
    """A module of ComfyUI's; the test is skipped where this version has none."""
    return pytest.importorskip(module, reason=f"this ComfyUI has no {module}")
