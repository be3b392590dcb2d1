"""What belongs to each family: its text encoders and VAE as files, and how its pictures are sampled.

Names and settings are those of ComfyUI's own templates. Text encoders are told by their headers, by ComfyUI's own detection; VAEs by
their names and the channels of their latents, since many are alike to the last shape.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Encoder:
    """A kind of text encoder. kinds: ComfyUI's names for it (comfy.sd.TEModel). file: how ComfyUI's templates call it."""

    name: str
    kinds: tuple[str, ...]
    file: str


CLIP_L = Encoder("CLIP-L", ("CLIP_L",), "clip_l.safetensors")
CLIP_G = Encoder("CLIP-G", ("CLIP_G",), "clip_g.safetensors")
CLIP_H = Encoder("CLIP-H", ("CLIP_H",), "clip_h.safetensors")
T5 = Encoder("T5-XXL", ("T5_XXL",), "t5xxl_fp16.safetensors")
OLD_T5 = Encoder("the old T5-XXL", ("T5_XXL_OLD",), "oldt5_xxl_fp8_e4m3fn_scaled.safetensors")
UMT5 = Encoder("umT5-XXL", ("UMT5_XXL",), "umt5_xxl_fp8_e4m3fn_scaled.safetensors")
QWEN3_06B = Encoder("Qwen3-0.6B", ("QWEN3_06B",), "qwen_3_06b_base.safetensors")
QWEN3_2B = Encoder("Ovis 2.5", ("QWEN3_2B",), "ovis_2.5.safetensors")
QWEN3_4B = Encoder("Qwen3-4B", ("QWEN3_4B",), "qwen_3_4b.safetensors")
QWEN3_8B = Encoder("Qwen3-8B", ("QWEN3_8B",), "qwen_3_8b_fp8mixed.safetensors")
QWEN3_VL = Encoder("Qwen3-VL-4B", ("QWEN3VL_4B",), "qwen3vl_4b_fp8_scaled.safetensors")
QWEN25_VL = Encoder("Qwen2.5-VL-7B", ("QWEN25_7B",), "qwen_2.5_vl_7b_fp8_scaled.safetensors")
BYT5 = Encoder("ByT5", ("BYT5_SMALL_GLYPH",), "byt5_small_glyphxl_fp16.safetensors")
MISTRAL = Encoder("Mistral 3", ("MISTRAL3_24B", "MISTRAL3_24B_PRUNED_FLUX2"), "mistral_3_small_flux2_bf16.safetensors")
GEMMA = Encoder("Gemma 2 2B", ("GEMMA_2_2B",), "gemma_2_2b_fp16.safetensors")
LLAMA = Encoder("Llama 3 8B", ("LLAMA3_8",), "llava_llama3_fp8_scaled.safetensors")
BY_WIDTH = {7680: (QWEN3_4B,), 12288: (QWEN3_8B,), 15360: (MISTRAL,)}  # of Flux.2, whose sizes have text encoders of their own
# Names of models that are made to be sampled in few steps without CFG.
FAST = re.compile(r"schnell|turbo|lightning|hyper|distill|lcm|\d-?steps?|klein(?!.*base)", re.IGNORECASE)


@dataclass(frozen=True)
class Vae:
    """called: what its file's name holds. file: how ComfyUI's templates call it."""

    called: str
    file: str

    def is_called(self, name: str) -> bool:
        return bool(re.search(self.called, name, re.IGNORECASE))


@dataclass(frozen=True)
class Parts:
    """encoders: all are needed; optional: those that are taken where they are there. side, steps, cfg: of its pictures or clips;
    fast_steps: of models made for few of them, without CFG."""

    encoders: tuple[Encoder, ...]
    vae: Vae
    side: int = 1024
    steps: int = 20
    cfg: float = 4.0
    fast_steps: int = 8
    optional: tuple[Encoder, ...] = ()


FLUX_VAE = Vae(r"^ae[._-]|flux(?!.?2)", "ae.safetensors")
QWEN_VAE = Vae(r"qwen_?image(?!.*layered).*vae", "qwen_image_vae.safetensors")
WAN_VAE = Vae(r"wan.*vae", "wan_2.1_vae.safetensors")
OF_FAMILY = {
    "flux": Parts((CLIP_L, T5), FLUX_VAE, cfg=1.0, fast_steps=4),
    "sd3": Parts((CLIP_L, CLIP_G), Vae(r"sd_?3", "sd3_vae.safetensors"), cfg=4.5, optional=(T5,)),
    "flux2": Parts((MISTRAL,), Vae(r"flux.?2|full_encoder_small_decoder", "flux2-vae.safetensors"), cfg=1.0, fast_steps=4),
    "qwen-image": Parts((QWEN25_VL,), QWEN_VAE, cfg=2.5),
    "chroma": Parts((T5,), FLUX_VAE),
    "ovis-image": Parts((QWEN3_2B,), FLUX_VAE, cfg=5.0),
    "longcat-image": Parts((QWEN25_VL,), FLUX_VAE),
    "hunyuan-image": Parts((QWEN25_VL, BYT5), Vae(r"hunyuan_?image.*vae", "hunyuan_image_2.1_vae_fp16.safetensors"), cfg=3.5),
    "z-image": Parts((QWEN3_4B,), FLUX_VAE),
    "lumina2": Parts((GEMMA,), FLUX_VAE),
    "krea2": Parts((QWEN3_VL,), QWEN_VAE),
    "sd15": Parts((CLIP_L,), Vae(r"840000|560000|sd.?1|v1-5", "vae-ft-mse-840000-ema-pruned.safetensors"), side=512, cfg=7.0),
    "sd2": Parts((CLIP_H,), Vae(r"840000|560000|sd.?2", "vae-ft-mse-840000-ema-pruned.safetensors"), side=768, cfg=7.0),
    "sdxl": Parts((CLIP_L, CLIP_G), Vae(r"sd_?xl", "sdxl_vae.safetensors"), cfg=7.0),
    "anima": Parts((QWEN3_06B,), QWEN_VAE),
    "cosmos": Parts((OLD_T5,), WAN_VAE),
    "cogvideox": Parts((T5,), Vae(r"cogvideo", "cogvideox_vae_bf16.safetensors"), side=480, cfg=6.0),
    "hunyuan-video": Parts((CLIP_L, LLAMA), Vae(r"hunyuan_?video_?vae", "hunyuan_video_vae_bf16.safetensors"), side=480, cfg=1.0),
    "hunyuan-video-1.5": Parts((QWEN25_VL, BYT5), Vae(r"hunyuan_?video_?1\.?5", "hunyuanvideo15_vae_fp16.safetensors"), side=480, cfg=6.0),
    "wan": Parts((UMT5,), WAN_VAE, side=480, cfg=5.0),
    "ltx": Parts((T5,), Vae(r"ltx.*vae", "the checkpoint's own"), side=512, cfg=3.0),
}
