"""The HTTP door: takes requests of OpenAI's shape, stores them, answers at once.

A 200 means that the message is on the disk. Below lies uvicorn; the routes that
take messages are plain ASGI, and FastAPI is loaded for the others when first asked.
"""
