"""What a turn costs on AWS: the product's own code is run and metered, and AWS's list prices are put on what it did."""
