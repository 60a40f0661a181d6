"""What every command needs to talk to a person or a script: output, prompts, exit codes, argument parsing."""
