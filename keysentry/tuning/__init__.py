"""The workshop: training, proving and measuring rules."""
