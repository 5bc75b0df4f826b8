"""What the claims about speed, cost and scale rest on."""
