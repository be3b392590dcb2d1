"""Zero-shot segmentation with the concept maps of pictures, judged against label masks: the paper's evaluation.

`python run.py evaluate --help` tells how it is run, docs/evaluation.md what comes out. Not part of what users install.
"""
