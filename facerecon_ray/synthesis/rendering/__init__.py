"""How a dressed head becomes a photo: view, light, drawing, background, occluders and camera."""
