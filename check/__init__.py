"""A report card for the models in a ComfyUI: docs/check.md. No node needs it.

`files.py` looks for models, `parts.py` says what belongs to each family, `card.py` samples with one and `every_model.py` with all,
and `page.py` writes what came out.
"""
