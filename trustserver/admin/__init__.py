"""What the operator does: commands, check, audit of what is stored, restore."""
