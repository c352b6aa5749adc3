"""What needs a language model: its probabilities of saved texts. Nothing here loads torch on import."""
