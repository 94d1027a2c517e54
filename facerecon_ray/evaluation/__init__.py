"""How good the meshes are: the MICC Florence protocol, landmark accuracy, recognition, history and gates."""
