import comfy.hooks
from comfy_api.latest import io

from ..demo_model import DEMO_FAMILIES
from ..demo_model.flux import load_stripes
from ..demo_model.scene import load_scene
from .sockets import CATEGORY


class DemoModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionDemoModel",
            display_name="Concept Attention Demo Model",
            category=CATEGORY,
            description="A tiny Flux, SD3 or HunyuanVideo that comes with this pack and paints coloured shapes, to try the nodes without a "
            'download: "a red circle and a blue square on sand", or as a clip "a red circle moves right over grass".',
            inputs=[
                io.Combo.Input(
                    "family",
                    options=list(DEMO_FAMILIES),
                    default="flux",
                    tooltip="The kind of model. Sample flux and hunyuan-video at CFG 2, and sd3 at CFG 4.5. hunyuan-video makes clips "
                    "of 13 frames at 128 x 128.",
                )
            ],
            outputs=[
                io.Model.Output("model", tooltip="Paints circles, squares, triangles, stars and hearts, pictures best at 256 x 256."),
                io.Clip.Output("clip", tooltip="Its text encoders, which know the words of its captions only."),
                io.Vae.Output("vae", tooltip="Its VAE."),
            ],
        )

    @classmethod
    def execute(cls, family):
        return io.NodeOutput(*DEMO_FAMILIES[family].load())


class DemoPicture(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionDemoPicture",
            display_name="Concept Attention Demo Picture",
            category=CATEGORY,
            description="A drawn picture to try Encode Image for Concepts with: a pink star, a yellow circle and a purple heart on sand.",
            outputs=[io.Image.Output("image", tooltip="256 x 256. The demo models were not trained on it.")],
        )

    @classmethod
    def execute(cls):
        return io.NodeOutput(load_scene())


class DemoLora(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="ConceptAttentionDemoLora",
            display_name="Concept Attention Demo LoRA",
            category=CATEGORY,
            description="A tiny LoRA for the demo Flux, which paints things with white stripes, to try Concept Region with. It stands in "
            "for ComfyUI's Create Hook LoRA with a file of your own.",
            outputs=[io.Hooks.Output("hooks", tooltip="For Cond Set Props, whose conditioning then has the LoRA.")],
        )

    @classmethod
    def execute(cls):
        return io.NodeOutput(comfy.hooks.create_hook_lora(load_stripes(), strength_model=1.0, strength_clip=0.0))


NODES = [DemoModel, DemoPicture, DemoLora]
