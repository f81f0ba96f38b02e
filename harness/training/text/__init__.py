"""Language models: their files, tasks of text, and GRPO on them in Torch and JAX."""
