"""Where the rows are: blocks, sums over them, samples."""
