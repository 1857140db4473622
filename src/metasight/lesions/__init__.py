"""What a thoracic radiologist measures of a lung lesion: size, solid part, place, uptake."""
