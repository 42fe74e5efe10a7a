"""Algorithm 1 of the paper: train the teacher, distil the student, keep what was learned."""
