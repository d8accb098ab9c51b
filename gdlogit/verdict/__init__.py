"""What is judged where a descent has ended: a proof, separation, the least norm."""
