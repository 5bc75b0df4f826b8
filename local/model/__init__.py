"""An OpenAI-compatible model server on a real socket: it answers the demo, and plays scripted faults for the tests."""
