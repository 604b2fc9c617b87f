"""What a person may do by hand: by name, with a reason, and told what came of it."""
