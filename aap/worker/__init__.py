"""The worker: the short-lived program that hands waiting messages to the agent.

Standard library only, and few modules of it: it is started for every burst.
"""
