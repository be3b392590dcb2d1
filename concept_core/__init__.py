"""ConceptAttention (Helbling et al., ICML 2025, arXiv 2502.04320), read from the sampling pass that makes the picture."""
