"""Any picture shown to the model once: what is recorded, what is left out, and that nothing stays behind."""

import comfy.model_management
import comfy.sample
import pytest
import tiny
import torch
from concept_attention.concept_core.families.encode_concepts import encode_concepts
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.record.encode_image import encode_image
from evaluate import SIZES, Demo, at_picture_size, concepts_of, judge
from probe import call_at
from scenes import draw_scene


def latent(batch=1, size=(8, 12), seed=5):
    return torch.randn(batch, 16, *size, generator=torch.Generator().manual_seed(seed))


def encode(kind, picture, **choices):
    return encode_image(kind.model, kind.concepts, kind.prompts[0], picture, **choices)


@pytest.mark.parametrize(("batch", "size"), [(1, (8, 12)), (3, (9, 7)), (2, (2, 16))])
@pytest.mark.parametrize("noise", [0.0, 0.3, 0.5, 1.0])
def test_it_is_one_call_of_the_whole_model(kind, noise, batch, size):
    """Scores bitwise as recorded in a call that runs to its end, at the model's own sigma for that part of its schedule."""
    picture = latent(batch, size)
    recording = encode(kind, picture, noise=noise, seed=7, spaces="all")
    sigma = kind.model.get_model_object("model_sampling").percent_to_sigma(1 - noise)
    noised = torch.lerp(kind.model.model.process_latent_in(picture), comfy.sample.prepare_noise(picture, 7), sigma)
    patched, whole = kind.record(spaces="all")
    call_at(patched, kind.prompts[0], [noised], [sigma, 0.0])
    (ours,), (theirs,) = recording.runs[0].steps.values(), whole.runs[0].steps.values()
    for space, scores in theirs.items():
        torch.testing.assert_close(ours[space], scores, atol=1e-5, rtol=1e-4)
    assert float(*recording.runs[0].steps) == pytest.approx(sigma)
    assert decode(recording, picture).values.shape == (batch, 3, (size[0] + 1) // 2, (size[1] + 1) // 2)


def test_the_authors_conditioning(flux):
    """Guidance 0 and a pooled prompt of zeros, for the picture too."""
    picture = latent()
    ours = decode(encode(flux, picture, as_authors=True), picture).values
    ((context, options),) = flux.prompts[0]
    plain = [[context, {"pooled_output": torch.zeros_like(options["pooled_output"]), "guidance": 0.0}]]
    assert torch.equal(ours, decode(encode_image(flux.model, flux.concepts, plain, picture), picture).values)
    assert not torch.allclose(ours, decode(encode(flux, picture), picture).values, atol=1e-3)


def test_the_authors_conditioning_of_a_prompt_that_was_not_pooled(flux):
    ((context, options),) = flux.prompts[0]
    picture = latent()
    for about in ({}, {"pooled_output": None}):
        recording = encode_image(flux.model, flux.concepts, [[context, about]], picture, as_authors=True)
        assert torch.equal(decode(recording, picture).values, decode(encode(flux, picture, as_authors=True), picture).values)


def test_seeds_begin_again_after_the_largest(kind):
    picture = latent()
    last, zero = (decode(encode(kind, picture, seed=seed), picture).values for seed in (2**64 - 1, 0))
    both = decode(encode(kind, picture, seed=2**64 - 1, samples=2), picture).values
    torch.testing.assert_close(both, (last + zero) / 2, atol=1e-4, rtol=0)
    assert not torch.allclose(last, zero, atol=1e-3)


def test_a_prompt_without_any_conditioning_is_refused(kind):
    with pytest.raises(ValueError, match="positive: it holds no conditioning at all. Connect an encoded prompt"):
        encode_image(kind.model, kind.concepts, [], latent())


def test_draws_of_noise_are_averaged_after_the_softmax(kind):
    picture = latent()
    one, two = (decode(encode(kind, picture, seed=seed), picture).values for seed in (3, 4))
    both = decode(encode(kind, picture, seed=3, samples=2), picture).values
    torch.testing.assert_close(both, (one + two) / 2, atol=1e-5, rtol=0)
    assert not torch.allclose(one, two, atol=1e-3)


def counted(blocks):
    """How often each block runs from now on."""
    calls = [0] * len(blocks)

    def count(index):
        def hook(module, inputs):
            calls[index] += 1

        return hook

    return calls, [block.register_forward_pre_hook(count(i)) for i, block in enumerate(blocks)]


def test_blocks_after_the_last_that_is_heard_do_not_run_and_the_model_stays_as_it_was(kind):
    if kind.name == "flux":
        network = kind.model.model.diffusion_model
        heard, later = list(network.double_blocks), list(network.single_blocks)
    else:
        # MMDiT's blocks are called through a function, so the modules in them are watched
        blocks = [block.x_block.attn.qkv for block in kind.model.model.diffusion_model.joint_blocks]
        heard, later = blocks[:-1], blocks[-1:]
    before = kind.sample()
    (heard_calls, hooks), (later_calls, more) = counted(heard), counted(later)
    encode(kind, latent(), samples=2)
    for hook in hooks + more:
        hook.remove()
    assert heard_calls == [2] * len(heard) and later_calls == [0] * len(later)
    assert torch.equal(kind.sample(), before)


def test_an_interrupt_leaves_nothing_behind(kind):
    before = kind.sample()

    def interrupt():
        raise comfy.model_management.InterruptProcessingException

    with pytest.raises(comfy.model_management.InterruptProcessingException):
        encode(kind, latent(), samples=3, progress=interrupt)
    assert torch.equal(kind.sample(), before)


def test_the_same_encoding_again_is_the_same(kind):
    picture = latent(2)
    first, second = (decode(encode(kind, picture, seed=1), picture).values for _ in range(2))
    assert torch.equal(first, second)
    assert decode(encode(kind, picture), picture[1:]).values.shape[0] == 1  # one of the batch alone


@pytest.mark.parametrize(
    ("picture", "choices", "message"),
    [
        (latent()[:, :4], {}, "is not of this model, whose latents have 16 channels"),
        (latent()[0], {}, "is not of this model"),
        (latent() * float("nan"), {}, "latent: there is NaN"),
        (latent(), {"noise": 1.5}, "noise must lie in 0..1, it is 1.5"),
    ],
)
def test_bad_input(kind, picture, choices, message):
    with pytest.raises(ValueError, match=message):
        encode(kind, picture, **choices)


def test_another_family_is_refused(flux):
    with pytest.raises(ValueError, match="does not know the model family"):
        encode_image(tiny.aura_flow(), flux.concepts, flux.prompts[0], latent())


@pytest.fixture(scope="module", params=["flux", "sd3"])
def demo(request):
    return Demo(request.param)


def encoded(demo, names, picture, caption, **choices):
    positive = demo.clip.encode_from_tokens_scheduled(demo.clip.tokenize(caption))
    return decode(encode_image(demo.model, encode_concepts(demo.clip, ",".join(names)), positive, picture, **choices), picture)


@pytest.mark.long
def test_maps_of_drawn_scenes_lie_on_what_they_name(demo):
    """Pictures that the model has not made, encoded by its VAE, with their caption: it was not trained without one."""
    judged = []
    for seed, size in zip(range(900_000_700, 900_000_703), SIZES.values()):
        scene = draw_scene(seed, *size)
        names = concepts_of(scene)
        maps = encoded(demo, names, demo.vae.encode(torch.from_numpy(scene.picture)[None]), scene.caption, noise=0.2)
        judged.append(judge(at_picture_size(maps), torch.stack([torch.from_numpy(scene.area(name)) for name in names])))
    iou, _, peaks = torch.tensor(judged).mean(0).tolist()
    assert iou >= 0.85 and peaks == 1


@pytest.mark.long
def test_encoding_agrees_with_sampling(demo):
    """A picture that the model paints, encoded again from its own latent: the same concepts win as in the later half of its steps."""
    agreement = []
    for seed, caption in enumerate(PAINTED):
        names = [caption.split()[2], caption.split()[6], caption.split()[-1]]
        recording, samples, _ = demo.paint(caption, names, (256, 256), seed=3 + seed)
        sampled = at_picture_size(decode(recording, samples, start_percent=0.5)).argmax(0)
        again = at_picture_size(encoded(demo, names, samples, caption, noise=0.3, samples=2)).argmax(0)
        agreement += [((sampled == c) & (again == c)).sum() / ((sampled == c) | (again == c)).sum() for c in range(len(names))]
    assert sum(agreement) / len(agreement) >= 0.9


PAINTED = [
    "a red circle and a blue square on sand",
    "a yellow star and a purple heart on grass",
]
