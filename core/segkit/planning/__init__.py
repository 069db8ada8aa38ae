"""A recipe from the fingerprint of data, with a reason for each choice."""
