"""What a model is and what it answers: pure data, standard library only."""
