"""Images that are worked on, and what is known of them: labels, painted boxes, and how they fit."""
