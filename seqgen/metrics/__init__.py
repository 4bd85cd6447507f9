"""Statistics of sequences and samples: pure functions of arrays, no input or output."""
