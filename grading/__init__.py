"""What a question is, what is right, and what it is worth: pure, without database, network or clock."""
