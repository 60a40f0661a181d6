"""The conversation with the user or a script: output, prompts, exit codes, argument parsing."""
