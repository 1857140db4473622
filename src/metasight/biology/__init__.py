"""What a risk learnt from images has to do with biology."""
