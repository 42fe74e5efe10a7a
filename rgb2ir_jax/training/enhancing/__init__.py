"""Training of Zero-DCE: pictures alone, no label, no teacher."""
