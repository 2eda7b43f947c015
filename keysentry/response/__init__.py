"""What is done about findings: policy, actions, and those who carry them out."""
