"""Cross-attention of U-Nets: what other nodes do to it, and what there is not."""

import comfy.cldm.cldm
import comfy.controlnet
import comfy.ldm.modules.attention
import comfy.model_management
import comfy.ops
import pytest
import tiny
import torch
from comfy_extras.nodes_freelunch import FreeU_V2
from comfy_extras.nodes_hypertile import HyperTile
from comfy_extras.nodes_model_downscale import PatchModelAddDownscale
from concept_attention.concept_core.families.encode_concepts import encode_concepts
from concept_attention.concept_core.families.registry import family_of
from concept_attention.concept_core.families.unet import transformers_of
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record.sampler import record_concepts
from kinds import made

UNETS = ["sd15", "sd2", "sdxl"]
PLACES = {"sd15": ("output", 5, 0), "sdxl": ("output", 1)}  # of one layer, and of a block's


@pytest.fixture(params=["sd15", "sdxl"])
def unet(request):
    return made(request.param)


def assert_same(maps, others):
    torch.testing.assert_close(maps, others, atol=1e-5, rtol=1e-4)


def maps_of(kind, model=None, **options):
    """Of a sampling whose picture is the one without recording."""
    patched, recording = kind.record(model)
    samples = kind.sample(patched, **options)
    assert torch.equal(samples, kind.sample(model, **options))
    maps = decode(recording, samples)
    torch.testing.assert_close(maps.values.sum(1), torch.ones_like(maps.values[:, 0]))
    return maps


@pytest.mark.parametrize(("name", "latent", "grid"), [("sd15", (15, 18), (15, 18)), ("sd2", (8, 12), (8, 12)), ("sdxl", (15, 18), (8, 9))])
def test_maps_lie_on_the_grid_of_the_finest_layers(name, latent, grid):
    kind = made(name)
    maps = maps_of(kind, latent=torch.zeros(2, 4, *latent), cfg=3.0, steps=2)
    assert maps.values.shape == (2, 3, *grid) and maps.image_size == (8 * latent[0], 8 * latent[1])
    assert maps.pixels_per_token == (16 if name == "sdxl" else 8)


def test_a_layer_whose_attention_another_node_has_replaced_is_heard(unet):
    calls = []

    def plainly(q, k, v, extra):
        calls.append(extra["block"])
        return comfy.ldm.modules.attention.attention_basic(q, k, v, extra["n_heads"])

    other = unet.model.clone()
    other.set_model_patch_replace(plainly, "attn2", *PLACES[unet.name])
    assert_same(maps_of(unet, other).values, maps_of(unet).values)
    assert set(calls) == {PLACES[unet.name][:2]}


def test_a_patch_of_another_node_changes_the_queries_that_are_heard(unet):
    other = unet.model.clone()
    other.set_model_attn2_patch(lambda n, context, value, extra: (n * 2, context, value))
    assert (maps_of(unet, other).values - maps_of(unet).values).abs().max() > 1e-3


@pytest.mark.parametrize("start", [0.0, 0.4])
def test_layers_that_are_smaller_in_some_steps(unet, start):
    shrunk = PatchModelAddDownscale.execute(unet.model, 3, 2.0, start, 0.7, True, "bicubic", "bicubic").args[0]
    maps = maps_of(unet, shrunk, size=(16, 24))
    assert maps.values.shape == maps_of(unet, size=(16, 24)).values.shape


def ip_adapter(model):
    """What such nodes do: a layer's attention to the text, and beside it another to the tokens of a picture."""
    layer = layer_at(model, PLACES["sd15"])
    keys = torch.randn(1, 4, layer.to_q.out_features, generator=torch.Generator().manual_seed(6))

    def both(q, k, v, extra):
        attend = comfy.ldm.modules.attention.attention_basic
        of_picture = keys.expand(len(q), -1, -1)
        return attend(q, k, v, layer.heads) + 0.5 * attend(q, of_picture, of_picture, layer.heads)

    other = model.clone()
    other.set_model_patch_replace(both, "attn2", *PLACES["sd15"])
    return other


def layer_at(model, place):
    kind, block, layer = place
    (transformer,) = [one for one in getattr(model.model.diffusion_model, f"{kind}_blocks")[block] if hasattr(one, "transformer_blocks")]
    return transformer.transformer_blocks[layer].attn2


@pytest.mark.parametrize("words", [False, True])
def test_an_image_prompt_adapter_acts_as_before_and_what_comes_before_it_is_heard_as_without(words):
    """It replaces the attention of one layer in the middle of the up blocks."""
    kind = made("sd15")
    chosen = kind.words() if words else kind.concepts
    found = []
    for model in (ip_adapter(kind.model), kind.model):
        patched, recording = record_concepts(model, chosen)
        samples = kind.sample(patched, cfg=2.0, steps=1)
        assert torch.equal(samples, kind.sample(model, cfg=2.0, steps=1))
        (step,) = recording.runs[0].steps.values()
        found.append(step[recording.spaces[0]])
    place = list(transformers_of(kind.model.model.diffusion_model)).index(PLACES["sd15"][:2])
    assert_same(found[0][: place + 1], found[1][: place + 1])
    assert not torch.allclose(found[0][place + 1], found[1][place + 1], rtol=1e-3)


def control_net(**options):
    """A ControlNet of ComfyUI's class for Stable Diffusion 1.5, of the tiny model's shape."""
    torch.manual_seed(0)
    shape = {
        name: value for name, value in {**tiny.UNET, **tiny.FOUR_LEVELS}.items() if name not in ("out_channels", "transformer_depth_output")
    }
    network = comfy.cldm.cldm.ControlNet(hint_channels=3, num_heads=4, dtype=torch.float32, operations=comfy.ops.manual_cast, **shape)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3 / max(1, parameter[0].numel()) ** 0.5)
    return comfy.controlnet.ControlNet(network, load_device=comfy.model_management.get_torch_device(), **options)


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("for_negative", [True, False])
def test_controlnet(words, for_negative):
    """It has cross-attention of its own, which is not heard, and adds to what the down blocks hand to the up blocks."""
    kind = made("sd15")
    control = control_net().set_cond_hint(torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(2)), 1.0, (0.0, 1.0))
    positive = [[context, {**values, "control": control, "control_apply_to_uncond": for_negative}] for context, values in kind.prompts[0]]
    patched, recording = record_concepts(kind.model, kind.words() if words else kind.concepts)
    found = []
    for prompt in (positive, kind.prompts[0]):
        samples = kind.sample(patched, positive=prompt, cfg=2.0, steps=1)
        assert torch.equal(samples, kind.sample(positive=prompt, cfg=2.0, steps=1))
        (step,) = recording.runs[-1].steps.values()
        found.append(step[recording.spaces[0]])
    down = sum(kind == "input" for kind, _ in transformers_of(kind.model.model.diffusion_model))
    assert_same(found[0][:down], found[1][:down])
    assert all(not torch.allclose(one, other, rtol=1e-3) for one, other in zip(found[0][down:], found[1][down:]))


def test_a_patch_that_gives_layers_more_text_is_right_for_concepts_and_refused_for_words():
    """As adapters that add tokens to the prompt's do."""
    kind = made("sd15")

    def more(n, context, value, extra):
        longer = torch.cat([context, context[:, :4]], 1)
        return n, longer, longer

    other = kind.model.clone()
    other.set_model_attn2_patch(more)
    maps_of(kind, other, cfg=2.0, steps=1)
    patched, _ = record_concepts(other, kind.words())
    with pytest.raises(ValueError, match="reads 81 tokens where the prompt has 77.*name concepts with Encode Concepts"):
        kind.sample(patched, steps=1)


def hypertile(model):
    return HyperTile.execute(model, 32, 1, 0, False)[0]


def freeu(model):
    return FreeU_V2.execute(model, 1.3, 1.4, 0.9, 0.2).args[0]


@pytest.mark.parametrize("patched", [hypertile, freeu])
def test_nodes_that_change_the_rest_of_the_network(unet, patched):
    maps_of(unet, patched(unet.model), size=(16, 16))
    words, recording = record_concepts(patched(unet.model), unet.words())
    samples = unet.sample(words, size=(16, 16), cfg=2.0, steps=2)
    assert torch.equal(samples, unet.sample(patched(unet.model), size=(16, 16), cfg=2.0, steps=2))
    raw = decode(recording, samples, softmax=False).values
    assert torch.isfinite(raw).all() and raw.std() > 0


def test_a_layer_with_tokens_of_another_kind_is_refused(unet):
    other = unet.model.clone()
    other.set_model_attn2_patch(lambda n, context, value, extra: (torch.cat([n, n], 1), context, value))
    other.set_model_attn2_output_patch(lambda n, extra: n[:, : n.shape[1] // 2])
    unet.sample(other, steps=1)
    with pytest.raises(ValueError, match="cannot tell the picture's tokens from others"):
        unet.sample(unet.record(other)[0], steps=1)


def test_what_a_unet_does_not_have(unet):
    for spaces in ("output", "output + cross-attention"):
        with pytest.raises(ValueError, match="has no output space, only cross-attention. Set spaces to auto"):
            unet.record(spaces=spaces)
    with pytest.raises(ValueError, match="keep_vectors: .* has no output vectors. Leave it empty"):
        unet.record(keep_vectors="auto")
    patched, recording = unet.record()
    samples = unet.sample(patched, steps=1)
    with pytest.raises(ValueError, match="output space was not recorded, only cross-attention.*set space to auto"):
        decode(recording, samples, "output")


def test_the_refiner_is_refused():
    refiner = tiny.unet("SDXLRefiner", num_heads=-1, num_head_channels=16, use_linear_in_transformer=True, num_classes="sequential",
                        adm_in_channels=32 + 1280, **tiny.THREE_LEVELS)  # fmt: skip
    with pytest.raises(ValueError, match="does not know the model family SDXLRefiner"):
        family_of(refiner)


@pytest.mark.parametrize(("load", "width"), [(tiny.clip_l, 64), (tiny.clip_h, 64), (tiny.sdxl_clip, 128)])
def test_concepts_are_their_own_tokens(load, width):
    """Without start and end tokens; what stands alone is what stands among others."""
    concepts = encode_concepts(load(), "dog, a fluffy cat")
    assert concepts.embeddings.shape == (4, width) and concepts.token_weights.tolist() == [[1, 0, 0, 0], [0, *[pytest.approx(1 / 3)] * 3]]
    alone = encode_concepts(load(), "a fluffy cat")
    assert torch.equal(alone.embeddings, concepts.embeddings[1:])
