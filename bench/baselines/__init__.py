"""What the platform is compared with: the same calls, as others would serve them."""
