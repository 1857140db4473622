"""What a risk means for a decision, by rules that a protocol states."""
