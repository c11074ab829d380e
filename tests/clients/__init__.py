"""Programs that know nothing of envhub, as others write them."""
