"""A digital twin of a human-services system, and the causal questions it can answer."""
