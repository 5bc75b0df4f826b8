"""Reading, renaming, exporting and deleting conversations: the API's plain request-and-answer half."""
