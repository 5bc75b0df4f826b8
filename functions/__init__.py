"""The Lambda functions: one folder each, and `common` for what more than one of them must agree on."""
