"""What of the library needs ComfyUI."""

from ..families.encode_concepts import encode_concepts
from ..families.encode_prompt_words import encode_prompt_words
from ..families.registry import supported
from ..record.encode_image import encode_image
from ..record.sampler import record_concepts
from .models import Loaded, decode_latent, encode_pictures, encode_text, load_model
from .sampling import empty_latent, sample

__all__ = [
    "Loaded",
    "decode_latent",
    "empty_latent",
    "encode_concepts",
    "encode_image",
    "encode_pictures",
    "encode_prompt_words",
    "encode_text",
    "load_model",
    "record_concepts",
    "sample",
    "supported",
]
