"""What clients are generated from: the functions' own signatures, and nothing else."""
