"""The conversations function against moto's DynamoDB."""
