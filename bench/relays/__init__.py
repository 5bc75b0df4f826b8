"""The relays the product is measured against, each as small as its kind can be."""
