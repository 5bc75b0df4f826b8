"""The check after a deployment: `make smoke URL=https://… TOKEN=…` uses the endpoint as a client does, and says what holds.

It makes one conversation and deletes it again. URL and TOKEN come from the environment, so that the token is in no process list.
"""
