"""What is kept here: results by action key, bytes by digest, and who may remove them."""
