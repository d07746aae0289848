"""What a run came to, for people, programs and CI systems."""
