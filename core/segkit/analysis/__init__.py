"""What images and labels are like: a fingerprint, pictures, and what may go wrong with a split."""
