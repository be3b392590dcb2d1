"""What the nodes cost: sampling with and without them, in turns, and beside them the two other ways to get such maps.

`python run.py benchmark --help` tells how it is run, docs/cost.md what came out. Not part of what users install.
"""
